"""Replays: exact from codes, and made again by the world."""

from __future__ import annotations

import copy
import gc
import warnings
from pathlib import Path

import numpy as np
import pytest

import genie
from genie.sessions.frames import Frames
from genie.sessions.reading import read_session
from genie.sessions.replay import replay, verify
from genie.sessions.session import Session
from tests.sessions.conftest import TAKE


def test_hundreds_of_frames_and_a_hundred_branches_replay_to_the_bit(coinrun: genie.World, tmp_path: Path) -> None:
    session = Session.start(coinrun, seed=8)
    for i in range(200):
        session.step(TAKE[i % len(TAKE)])
    for point in (20, 80, 140, 190):
        session.seek(point, 0)
        for number in session.reroll(25):
            session.seek(point, number)
            session.step("left")
    shown = {(branch.id, i): session.frame_at(i, branch.id) for branch in session.tree for i in (branch.start, branch.end)}
    session.save(tmp_path / "take.session")
    session.close()
    recording = read_session(tmp_path / "take.session")
    assert (recording.frames, len(recording)) == (300, 101)
    again = verify(recording, coinrun)
    assert (again.equal, again.frames, again.branches) == (True, 300, 101)
    calls = []
    painted = replay(recording, coinrun.engine.codec, lambda done, total: calls.append((done, total)))
    assert (painted.equal, painted.frames) == (True, 300)
    assert calls[-1] == (300, 300)
    frames = Frames(recording, coinrun.engine.codec)
    for (branch, index), frame in shown.items():
        assert np.array_equal(frames.at(branch, index), frame)


def test_edits_re_rolls_and_other_sampling_are_simulated_again_to_the_bit(saved: Path, coinrun: genie.World) -> None:
    recording = read_session(saved)
    outcome = verify(recording, coinrun)
    assert (outcome.equal, outcome.frames) == (True, recording.frames)


def test_what_an_edit_holds_is_held_again_from_the_record_alone(coinrun: genie.World, tmp_path: Path) -> None:
    session = Session.start(coinrun, "level-03", seed=3, journal=tmp_path / "journal")
    for _ in range(6):
        session.step("noop")
    painted, part = session.frame, np.zeros((64, 64), np.bool_)
    painted[10:24, 44:52] = session.frame[-14:, :8]
    part[12:24, 44:52] = True  # the uppermost rows may go
    edited = session.edit(painted, hold=part)
    for name in ("right", "noop", "left", *["noop"] * 4):
        session.step(name)
    erased = session.frame
    erased[:16] = coinrun.prompts[0].frames[-1][:1, :1]
    session.edit(erased)  # over a part of it
    for _ in range(100):  # longer than the model's state remembers
        session.step("noop")
    place = session.branch, session.index
    session.save(tmp_path / "take.session")
    outcome = verify(read_session(tmp_path / "take.session"), coinrun)
    assert (outcome.equal, outcome.frames) == (True, session.recording.frames)
    opened = Session.open(tmp_path / "take.session", coinrun)
    for recording in (opened.recording, read_session(tmp_path / "journal")):
        assert np.array_equal(recording.parts[edited], part) and np.array_equal(recording.edits[edited], painted)
    opened.seek(place[1], place[0])
    assert any(branch.hold for branch in opened.tree)
    for name in ("noop", "right", "noop"):
        assert np.array_equal(opened.step(name), session.step(name))
    for one in (opened, session):
        one.close()


def test_the_first_differing_frame_is_named(saved: Path, coinrun: genie.World) -> None:
    recording = read_session(saved)
    recording.rows(0)["pixels"][41] ^= 1
    outcome = verify(recording, coinrun)
    assert (outcome.equal, outcome.first, outcome.frames) == (False, (0, 42), 41)
    recording = read_session(saved)
    recording.rows(0)["action"][60] = recording.header.world.actions[-1].id  # another action than the one that made the frame
    outcome = verify(recording, coinrun)
    assert outcome.first is not None
    assert 61 <= outcome.first[1] <= 64


def test_a_key_frame_ends_what_a_rounding_has_changed(saved: Path, coinrun: genie.World) -> None:
    """A machine that paints one level brighter than the one that recorded."""
    recording = read_session(saved)
    codec = coinrun.engine.codec
    brighter = copy.copy(codec)
    brighter.paint = lambda shown, tokens: np.minimum(codec.paint(shown, tokens), 254) + np.uint8(1)  # type: ignore[method-assign]
    outcome = replay(recording, brighter)
    assert not outcome.equal
    assert outcome.first == (0, 1)
    frames = Frames(recording, brighter)
    place = next(place for place in recording.key_frames if place[0] == 0)
    assert np.array_equal(frames.at(*place), Frames(recording, codec).at(*place))
    assert place not in frames.different
    assert frames.at(0, place[1] + 1).any()
    assert (0, place[1] + 1) in frames.different


def test_a_player_on_another_back_end_goes_on_from_the_recorded_frames(saved: Path, coinrun: genie.World) -> None:
    other = genie.load_world("coinrun", device="cpu", backend="onnx" if coinrun.backend != "onnx" else "onnx-int8")
    session, here = Session.open(saved, other), Session.open(saved, coinrun)
    assert np.array_equal(session.frame, here.frame)
    near = np.abs(session.step("noop").astype(int) - here.step("noop")).mean()
    assert near < 4.0
    session.close()
    here.close()


def test_a_replay_that_ends_early_leaves_no_file_open(coinrun: genie.World) -> None:
    session = Session.start(coinrun)
    session.step("right")
    session.step("right")
    session.recording.rows(0)["pixels"][0] ^= 1
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert not verify(session.recording, coinrun).equal
        with pytest.raises(ZeroDivisionError):
            replay(session.recording, coinrun.engine.codec, lambda done, total: 1 // 0)
        gc.collect()
    session.close()
    assert not [str(warning.message) for warning in told if warning.category is ResourceWarning]
