"""Sessions of a world that remembers what has scrolled out of view: what it remembers is part of what is gone back to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import genie
from genie.errors import SessionError
from genie.sessions.format import KEY_FRAME_EVERY, key_frame_png, read_key_frame
from genie.sessions.frames import Frames
from genie.sessions.reading import read_session
from genie.sessions.replay import replay, verify
from genie.sessions.session import Session
from tokenizer.mosaic import Mosaic


@pytest.fixture
def world(bundle: Path) -> genie.World:
    opened = genie.load_world(bundle, device="cpu", backend="onnx")
    assert opened.manifest.tokenizer.mosaic
    return opened


def test_branches_edits_and_key_frames_are_painted_and_simulated_again_to_the_bit(world: genie.World, tmp_path: Path) -> None:
    session = Session.start(world, seed=4)
    dice = np.random.default_rng(0)
    for _ in range(KEY_FRAME_EVERY + 20):
        session.step(int(dice.integers(len(world.actions))))
    assert session._model().rollout.shown.known.sum() > 64 * 64 * 1.2  # the picture has scrolled
    for point in (KEY_FRAME_EVERY + 5, 100, 30):
        session.seek(point, 0)
        painted = session.frame
        painted[20:30, 40:50] = 255 - painted[20:30, 40:50]
        session.edit(painted)
        for _ in range(8):
            session.step(int(dice.integers(len(world.actions))))
    shown = {(branch.id, index): session.frame_at(index, branch.id) for branch in session.tree for index in (branch.start + 1, branch.end)}
    session.save(tmp_path / "take.session")
    session.close()
    recording = read_session(tmp_path / "take.session")
    assert verify(recording, world).equal
    assert replay(recording, world.engine.codec).equal
    frames = Frames(recording, world.engine.codec)
    for (branch, index), frame in shown.items():  # in any order
        assert np.array_equal(frames.at(branch, index), frame)


@pytest.mark.parametrize("remembers", [True, False])
def test_branches_that_leave_an_edit_of_the_first_frame_are_painted_from_it(
    remembers: bool, world: genie.World, coinrun_easy: genie.World, tmp_path: Path
) -> None:
    session = Session.start(world if remembers else coinrun_easy, seed=2)
    painted = session.frame
    painted[8:40, 8:40] = (200, 30, 90)
    session.edit(painted)
    [number] = session.reroll()
    session.seek(0, number)
    for action in range(10):
        session.step(action % 6)
    session.save(tmp_path / "take.session")
    outcome = replay(read_session(tmp_path / "take.session"), session.world.engine.codec)
    session.close()
    assert (outcome.equal, outcome.frames) == (True, 10)


def test_going_back_frame_by_frame_shows_what_was_remembered_and_is_no_long_way(
    world: genie.World, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session.start(world, seed=3)
    dice = np.random.default_rng(2)
    for _ in range(100):
        session.step(int(dice.integers(len(world.actions))))
    forwards = [session.surroundings(index) for index in range(101)]
    session._frames._last = None
    ways = []
    after = Mosaic.after
    monkeypatch.setattr(Mosaic, "after", lambda *args: (ways.append(1), after(*args))[1])
    for index in range(100, -1, -1):
        assert np.array_equal(session.surroundings(index), forwards[index])
    assert len(ways) < 101 * 16 / 2 + 101
    session.close()


def test_hundreds_of_edits_of_one_frame(world: genie.World, tmp_path: Path) -> None:
    session = Session.start(world, seed=2)
    painted = session.frame
    for number in range(600):
        painted[number % 60, :8] = number % 256
        session.edit(painted)
    painted[:] = 0  # drawing on does not reach what was edited
    made = session.step(1)
    session.save(tmp_path / "take.session")
    session.close()
    recording = read_session(tmp_path / "take.session")
    assert np.array_equal(Frames(recording, world.engine.codec).at(600, 1), made)


def test_what_a_long_prompt_showed_before_the_context_is_remembered_too(world: genie.World, tmp_path: Path) -> None:
    rollout = world.start(seed=5)
    clip = np.stack([rollout.frame, *(rollout.step(step // 10 % len(world.actions)) for step in range(60))])
    session = Session.start(world, clip, seed=2)
    seen = session._model().rollout.shown.known.sum()
    assert seen > world.start(clip[-world.manifest.dynamics.context - 2 :]).shown.known.sum()
    for action in range(10):
        session.step(action % len(world.actions))
    session.save(tmp_path / "take.session")
    session.close()
    recording = read_session(tmp_path / "take.session")
    assert replay(recording, world.engine.codec).equal and verify(recording, world).equal


def test_a_session_opened_again_goes_on_as_the_one_that_was_left(world: genie.World, tmp_path: Path) -> None:
    session = Session.start(world, seed=4)
    dice = np.random.default_rng(1)
    for _ in range(120):
        session.step(int(dice.integers(len(world.actions))))
    session.seek(60)
    remembered = session._model().rollout.shown
    session.save(tmp_path / "take.session")
    straight = [session.step(action % len(world.actions)) for action in range(12)]
    session.close()
    again = Session.open(tmp_path / "take.session", world)
    model = again._model()
    model.go((0, 60), fresh=True)
    for name in ("frame", "picture", "known"):
        assert np.array_equal(getattr(model.rollout.shown, name), getattr(remembered, name))
    assert all(np.array_equal(again.step(action % len(world.actions)), frame) for action, frame in enumerate(straight))
    again.close()


def test_a_key_frame_keeps_what_was_seen(world: genie.World) -> None:
    rollout, tokenizer = world.start(seed=2), world.manifest.tokenizer
    for action in range(20):
        rollout.step(action % len(world.actions))
    data = key_frame_png(rollout.shown)
    back = read_key_frame(data, tokenizer, "a key frame")
    assert np.array_equal(back.around, rollout.shown.around)
    assert np.array_equal(back.known, rollout.shown.known)
    with pytest.raises(SessionError, match="pixels instead of"):
        read_key_frame(data, tokenizer.model_copy(update={"mosaic": 0}), "a key frame")


def test_the_surroundings_are_the_frame_and_what_was_seen_around_it(world: genie.World, coinrun_easy: genie.World) -> None:
    session, margin = Session.start(world, seed=4), world.manifest.tokenizer.mosaic
    for action in range(30):
        session.step(action % len(world.actions))
    for index in (None, 12):
        around = session.surroundings(index)
        assert around is not None and around.shape == (64 + 2 * margin, 64 + 2 * margin, 4)
        view = around[margin:-margin, margin:-margin]
        assert np.array_equal(view[..., :3], session.frame if index is None else session.frame_at(index)) and (view[..., 3] == 255).all()
    assert 0 < (around[..., 3] == 255).mean() < 1
    session.close()
    plain = Session.start(coinrun_easy)
    assert plain.surroundings() is None
    plain.close()
