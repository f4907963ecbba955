"""One play with branches of every kind, shared by the tests that only read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import genie
from genie.sessions.session import Session

TAKE = ["right"] * 12 + ["right+jump"] * 6 + ["left"] * 7 + ["noop"] * 5


@pytest.fixture(scope="session")
def played(coinrun: genie.World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """150 frames, a branch off frame 100, an edit with play after it, a re-roll, other sampling and a bookmark."""
    session = Session.start(coinrun, seed=5, journal=tmp_path_factory.mktemp("play") / "journal")
    for i in range(150):
        session.step(TAKE[i % len(TAKE)], keys=("d",) if i % 2 else (), latency_ms=12.5 if i % 2 else None)
    session.seek(100)
    session.step("left")
    session.edit(coinrun.prompts[3].frames[-1], stick=4)
    for _ in range(35):
        session.step("noop")
    session.bookmark("nice")
    session.seek(90, 0)
    (number,) = session.reroll()
    session.seek(90, number)
    for _ in range(5):
        session.step("jump")
    session.resample(passes=1)
    for _ in range(5):
        session.step("right")
    session.seek(140, 0)
    yield session
    session.close()


@pytest.fixture(scope="session")
def saved(played: Session, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The play as a file."""
    path = tmp_path_factory.mktemp("saved") / "take.session"
    played.save(path)
    return path
