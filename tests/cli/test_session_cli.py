"""Sessions on the command line, as users type it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import genie
from genie.sessions.reading import read_session
from genie.sessions.session import Session
from tests.cli.test_cli import genie as run


def test_a_headless_take_is_saved_shown_replayed_and_exported(tmp_path: Path) -> None:
    take, journal = tmp_path / "take.session", tmp_path / "journal"
    done = run("play", "--headless", "--frames", "20", "--actions", "right:12,jump:8", "--out", str(tmp_path / "a.npz"),
               "--save", str(take), "--journal", str(journal))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert read_session(journal).frames == read_session(take).frames == 20
    done = run("session", "info", str(take))
    assert "20 (0.0 minutes) in 1 branches" in done.stdout
    assert "0: root, frames 0–20" in done.stdout
    done = run("replay", str(take), "--verify")
    assert done.returncode == 0, done.stderr
    assert "equal: 20 frames in 1 branches, simulated again on" in done.stdout
    done = run("session", "export", str(take), "--gif", "--ndjson")
    assert done.returncode == 0, done.stderr
    assert {"take.gif", "take.ndjson"} <= {path.name for path in tmp_path.iterdir()}


def test_a_take_with_a_wrong_script_leaves_nothing_in_its_way(tmp_path: Path) -> None:
    take = ("play", "--headless", "--frames", "2", "--out", str(tmp_path / "a.npz"), "--journal", str(tmp_path / "journal"), "--actions")
    refused = run(*take, "fly:3")
    assert refused.returncode == 2 and "fly" in refused.stderr
    assert list(tmp_path.iterdir()) == []
    assert run(*take, "right:3").returncode == 0
    assert read_session(tmp_path / "journal").frames == 2


def test_a_replay_that_differs_exits_with_1_and_names_the_frame(coinrun: genie.World, tmp_path: Path) -> None:
    session = Session.start(coinrun)
    for _ in range(9):
        session.step("right")
    session.recording.rows(0)["pixels"][6] ^= 1
    session.save(tmp_path / "other.session")
    session.close()
    done = run("replay", str(tmp_path / "other.session"))
    assert done.returncode == 1, done.stderr
    assert "different: frame 7 of branch 0 is the first that differs, painted again from codes; 1 of 9 frames differ" in done.stdout


def test_crashed_sessions_are_recovered_by_the_folder_they_lie_in(coinrun: genie.World, tmp_path: Path) -> None:
    session = Session.start(coinrun, journal=tmp_path / "live" / "one")
    session.step("right")
    shutil.copytree(tmp_path / "live", tmp_path / "crashed")
    session.close()
    done = run("session", "recover", str(tmp_path / "crashed"))
    assert done.returncode == 0, done.stderr
    assert read_session(tmp_path / "crashed" / "one.session").frames == 1
    done = run("session", "recover", str(tmp_path / "crashed"))
    assert done.returncode == 2
    assert "no crashed one in it" in done.stderr


@pytest.fixture
def saved_take(coinrun: genie.World, tmp_path: Path) -> Path:
    session = Session.start(coinrun)
    session.step("right")
    session.save(tmp_path / "take.session")
    session.close()
    return tmp_path / "take.session"


def test_session_errors_are_one_line_and_exit_with_2(tmp_path: Path, saved_take: Path) -> None:
    broken = tmp_path / "broken.session"
    broken.write_bytes(saved_take.read_bytes()[:-100])
    for arguments, says in (
        (("replay", str(tmp_path / "none.session")), "neither a .session file nor"),
        (("replay", str(broken)), "is not a session file, or only a part of one"),
        (("session", "export", str(saved_take)), "say what to write: --mp4"),
        (("session", "export", str(saved_take), "--npz", "--branch", "4"), "has no branch 4"),
        (("session", "export", str(saved_take), "--npz", "--tree", "--branch", "0"), "give one"),
        (("play", "--save", "a.session"), "add --headless"),
    ):
        done = run(*arguments)
        assert done.returncode == 2, arguments
        assert says in done.stderr.replace("\n", " ")
        assert "Traceback" not in done.stderr
