"""The journal: a process that is killed at any moment has lost nothing that was shown a second ago (in fact, nothing)."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import genie
from genie.sessions.journal import Journal, crashed_journals
from genie.sessions.reading import read_session, recover
from genie.sessions.session import Session

KILLS = 20
FRAMES = 45  # of play in which the moment lies
PLAYER = textwrap.dedent("""
    import os, sys
    from pathlib import Path

    if hasattr(os, "sched_setaffinity"):  # one core each: thread pools that spin would slow each other down
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(sys.argv[3]) % len(cores)]})
    import genie
    from genie.sessions.session import Session

    world = genie.load_world("coinrun", device="cpu", backend=sys.argv[2])
    session = Session.start(world, seed=9, journal=Path(sys.argv[1]))
    print("playing", flush=True)
    for number in range(100_000):
        if number % 12 == 11:
            session.seek(max(0, session.index - 4))
        if number % 20 == 15:
            session.edit(session.frame[::-1].copy(), 2)
        session.step(("right", "jump", "left", "right+jump")[number // 3 % 4], keys=["d"])
        print(number + 1, flush=True)
""")


def played_until_killed(folder: Path, backend: str, number: int) -> int:
    """Play in a process of its own, kill it at a random moment, return how many frames it had said to have made."""
    moment = random.Random(number)
    command = [sys.executable, "-c", PLAYER, str(folder), backend, str(number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        heard = [process.stdout.readline() for _ in range(1 + moment.randrange(FRAMES))]
        time.sleep(moment.uniform(0.0, 0.05))
        os.kill(process.pid, signal.SIGKILL)
        heard += process.stdout.read().splitlines(keepends=True)
        assert process.wait() == -signal.SIGKILL
    assert heard[0] == "playing\n"
    return sum(line.endswith("\n") for line in heard[1:])  # what is not a whole line was not said


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_play_killed_at_any_moment_loses_nothing_that_was_shown(coinrun: genie.World, tmp_path: Path) -> None:
    folders = [tmp_path / f"kill-{number}" for number in range(KILLS)]
    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(lambda number: played_until_killed(folders[number], coinrun.backend, number), range(KILLS)))
    assert len(crashed_journals(tmp_path)) == KILLS
    found = [read_session(folder) for folder in folders]
    for recording, frames in zip(found, said, strict=True):
        assert frames <= recording.frames <= frames + 1  # at most the one that was made and not yet said
    longest = max(found, key=lambda recording: recording.frames)
    assert longest.frames > 20
    for recording in found:  # all are beginnings of the same play
        for branch in recording.tree:
            same = longest.rows(branch.id)[: branch.length]
            for column in ("action", "tokens", "settled", "pixels"):
                assert np.array_equal(recording.rows(branch.id)[column], same[column])
    # One of them goes on as if nothing had happened.
    folder = folders[found.index(longest)]
    session = Session.open(folder, coinrun)
    session.step("right")
    session.close()
    assert len(crashed_journals(tmp_path)) == KILLS - 1
    assert read_session(folder).frames == longest.frames + 1


@pytest.fixture
def log(coinrun: genie.World, tmp_path: Path) -> Path:
    """A journal whose play crashed: 12 frames, a branch, an edit."""
    session = Session.start(coinrun, seed=3, journal=tmp_path / "journals" / "one")
    for _ in range(10):
        session.step("right", keys=("d",), latency_ms=3.0)
    session.seek(4)
    session.step("left")
    session.edit(255 - session.frame)
    session.step("jump")
    session.label(1, "a label")
    journal = session.journal
    assert journal is not None
    copy = tmp_path / "crashed" / "one"
    copy.mkdir(parents=True)
    for file in journal.folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    session.close()
    return copy


def test_a_journal_cut_anywhere_keeps_all_before_the_cut(log: Path) -> None:
    whole = (log / "log.bin").read_bytes()
    before = -1
    for cut in range(60, len(whole) + 1, 131):
        (log / "log.bin").write_bytes(whole[:cut])
        try:
            frames = read_session(log).frames
        except genie.SessionError as error:
            assert "nothing was written down" in str(error)  # cut before the first branch stood
            assert before == -1
            continue
        assert frames >= before
        before = frames
    (log / "log.bin").write_bytes(whole)
    assert read_session(log).frames == 12
    (log / "log.bin").write_bytes(whole[:-40] + b"\0" * 40)  # pages that never reached the disk
    assert 11 <= read_session(log).frames <= 12


def test_going_on_after_a_torn_write_drops_the_torn_part_only(log: Path, coinrun: genie.World) -> None:
    with (log / "log.bin").open("ab") as file:
        file.write(b"\x03\xa0\0\0\0torn")
    session = Session.open(log, coinrun)
    assert session.recording.frames == 12
    assert session.tree[1].label == "a label"
    session.step("right")
    session.close()
    assert read_session(log).frames == 13


def test_a_crashed_session_is_listed_recovered_and_then_no_longer_listed(log: Path, coinrun: genie.World, tmp_path: Path) -> None:
    assert crashed_journals(log.parent) == [log]
    assert crashed_journals(tmp_path / "journals") == []  # that one was closed
    assert crashed_journals(tmp_path / "nowhere") == []
    recording = recover(log, tmp_path / "found.session")
    assert crashed_journals(log.parent) == []
    again = read_session(tmp_path / "found.session")
    assert again.tree == recording.tree
    assert again.frames == 12
    assert again.cursor == (2, 6)


def test_a_session_that_could_not_be_saved_is_listed_like_a_crashed_one(coinrun: genie.World, tmp_path: Path) -> None:
    session = Session.start(coinrun, journal=tmp_path / "one")
    session.step("right")
    session.close(recoverable=True)
    assert crashed_journals(tmp_path) == [tmp_path / "one"]
    assert read_session(tmp_path / "one").frames == 1


def test_a_journal_that_is_being_played_is_neither_crashed_nor_free(coinrun: genie.World, tmp_path: Path) -> None:
    session = Session.start(coinrun, journal=tmp_path / "live")
    session.step("right")
    assert crashed_journals(tmp_path) == []
    with pytest.raises(genie.SessionError, match="being played"):
        Journal.resume(tmp_path / "live")
    with pytest.raises(genie.SessionError, match="is taken"):
        Session.start(coinrun, journal=tmp_path / "live")
    assert read_session(tmp_path / "live").frames == 1  # reading is allowed
    session.close(remove_journal=True)
    assert not (tmp_path / "live").exists()


def test_a_saved_session_can_be_gone_on_with_in_a_new_journal(log: Path, coinrun: genie.World, tmp_path: Path) -> None:
    recover(log, tmp_path / "found.session")
    session = Session.open(tmp_path / "found.session", coinrun, journal=tmp_path / "new")
    session.step("right")
    session.close()
    found = read_session(tmp_path / "new")
    assert found.tree == session.tree
    assert found.tree[1].label == "a label"
    assert found.path(2)[0].keys == ("d",)


@pytest.mark.parametrize(
    ("file", "data", "says"),
    [
        ("head.json", b"{}", "created: Field required"),
        ("head.json", b"\xff", "head.json"),
        ("prompt.png", b"", "not a readable PNG"),
        ("log.bin", b"", "nothing was written down"),
    ],
)
def test_a_damaged_journal_is_refused_with_a_reason(log: Path, file: str, data: bytes, says: str) -> None:
    (log / file).write_bytes(data)
    with pytest.raises(genie.SessionError, match=says):
        read_session(log)


def test_records_with_a_right_checksum_and_nonsense_in_them_are_refused(log: Path) -> None:
    from genie.sessions.journal import _FRAMING, _checksum

    whole = (log / "log.bin").read_bytes()
    for kind, data in (
        (1, b"\xff\xff\xff\xff"), (1, b""), (2, b"{}"), (3, b"\x09\0\0\0" + b"\0" * 200), (3, b"\0\0\0\0"), (4, b"\0"),
        (4, b"\0\0\0\0\xff\0\0\0"), (5, b"["), (5, b"3"), (6, b"\xff" * 8),
    ):  # fmt: skip
        (log / "log.bin").write_bytes(whole + _FRAMING.pack(kind, len(data), _checksum(kind, data)) + data)
        with pytest.raises(genie.SessionError):
            read_session(log)


def test_a_removed_journal_leaves_other_files_of_its_folder_alone(log: Path, coinrun: genie.World) -> None:
    (log / "notes.txt").write_text("mine")
    session = Session.open(log, coinrun)
    session.close(remove_journal=True)
    assert [file.name for file in log.iterdir()] == ["notes.txt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_for_temporary_files_costs_time_and_nothing_else(coinrun: genie.World) -> None:
    session = Session.start(coinrun, seed=3)
    session._frames._store._file.close()
    session._frames._store._file = Path("/dev/full").open("r+b", buffering=0)  # noqa: SIM115
    session._states._file.close()
    session._states._file = Path("/dev/full").open("r+b")  # noqa: SIM115
    shown = [session.step("right") for _ in range(4)]
    session._states.put((0, 4), session._model().rollout.snapshot())
    assert session._states.full
    session.seek(2)
    assert np.array_equal(session.frame, shown[1])
    session.close()


def test_a_full_disk_does_not_end_the_play(coinrun: genie.World, tmp_path: Path) -> None:
    session = Session.start(coinrun, journal=tmp_path / "live")
    journal = session.journal
    assert journal is not None
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    session.step("right")
    journal._file.close()
    journal._file = full.open("ab", buffering=0)
    for _ in range(3):
        session.step("right")
    assert session.index == 4
    assert journal.error is not None
    session.save(tmp_path / "take.session")
    session.close()
    assert read_session(tmp_path / "live").frames == 1
    assert read_session(tmp_path / "take.session").frames == 4


@contextmanager
def disk_full_after(size: int) -> Iterator[None]:
    """No file of this process can have more bytes."""
    resource = pytest.importorskip("resource", reason="no limits on files here")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_journal_that_cannot_be_begun_leaves_nothing_behind(log: Path, tmp_path: Path) -> None:
    recording, threads = read_session(log), threading.active_count()
    recording.append(0, np.repeat(recording.rows(0)[:1], 500))
    for size in (1000, (log / "prompt.png").stat().st_size + 100):  # the prompt does not fit, the log does not
        with disk_full_after(size), pytest.raises(genie.SessionError, match="the journal cannot be written"):
            Journal.begin(tmp_path / "new", recording)
        assert not (tmp_path / "new").exists() and recording.log is None
        assert threading.active_count() == threads
    Journal.begin(tmp_path / "new", recording).close()
    assert read_session(tmp_path / "new").frames == recording.frames


def test_a_recovery_that_cannot_be_saved_leaves_the_journal_to_be_recovered(log: Path, tmp_path: Path) -> None:
    with disk_full_after(1000), pytest.raises(OSError, match="File too large"):
        recover(log, tmp_path / "take.session")
    assert crashed_journals(log.parent) == [log]
    recover(log, tmp_path / "take.session")
    assert crashed_journals(log.parent) == []
