"""Real parts for the tests: the shipped world, a small recording of the real game, and a smoke run trained on it."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

# Two processes share the suite. Each keeps to a core of its own: thread pools of two processes on the same cores stall one another.
WORKER = os.environ.get("PYTEST_XDIST_WORKER")
if WORKER and hasattr(os, "sched_setaffinity"):
    CORES = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {CORES[int(WORKER.removeprefix("gw")) % len(CORES)]})
    os.environ["OMP_NUM_THREADS"] = "1"

os.environ["GENIE_CACHE_DIR"] = tempfile.mkdtemp(prefix="genie-tests-")  # back ends measured here are forgotten afterwards
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("SDL_AUDIODRIVER", "dummy")

import pytest
from filelock import FileLock

import genie
from genie.data import recorder
from genie.data.coinrun import record
from genie.data.games.registry import find_game
from genie.data.store import Dataset
from genie.training.pipeline import Pipeline
from genie.training.settings import open_run, presets

ROOT = Path(__file__).parent.parent
atexit.register(shutil.rmtree, os.environ["GENIE_CACHE_DIR"], ignore_errors=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which windows the player's tests opened: tests/player/desktop.py."""
    windows = "windows under Xvfb" if shutil.which("Xvfb") else "no Xvfb here, so the SDL dummy driver and posted events instead"
    terminalreporter.write_line(f"player: {windows}")


@pytest.fixture(scope="session")
def coinrun() -> genie.World:
    """The world as users get it."""
    return genie.load_world("coinrun")


@pytest.fixture(scope="session")
def coinrun_easy() -> genie.World:
    """A world that remembers nothing around its picture."""
    return genie.load_world("coinrun-easy")


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the processes of a run share; the first one that needs it makes it."""
    path = (factory.getbasetemp().parent if WORKER else factory.getbasetemp()) / name
    with FileLock(path.with_name(f"{name}.lock")):
        done = path.with_name(f"{name}.done")
        if not done.exists():
            make(path)
            done.touch()
    return path


@pytest.fixture(scope="session")
def dataset_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,000 training and 1,200 held-out frames of the real game."""
    return made_once(tmp_path_factory, "coinrun", lambda path: record(path, train_frames=2000, held_out_frames=1200, seed=1))


@pytest.fixture(scope="session")
def dataset(dataset_path: Path) -> Dataset:
    return Dataset(dataset_path)


@pytest.fixture(scope="session")
def smoke_run(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All three stages trained for seconds, and the world exported."""
    return made_once(tmp_path_factory, "smoke", lambda run: Pipeline(dataset, run, open_run(run, dataset, presets()["smoke"])).train())


@pytest.fixture(scope="session")
def large_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CoinRun world of 128×128 pixels, hardly trained."""

    def make(folder: Path) -> None:
        recorder.record(folder / "data", find_game("coinrun", (128, 128)), train_frames=700, held_out_frames=300, environments=4)
        dataset = Dataset(folder / "data")
        smoke = presets()["smoke"].bounded(None, 2).model_copy(update={"validation_clips": 1, "token_frames": 64})
        Pipeline(dataset, folder / "run", open_run(folder / "run", dataset, smoke)).train()

    return made_once(tmp_path_factory, "large", make) / "run" / "world"


@pytest.fixture
def bundle(smoke_run: Path, tmp_path: Path) -> Path:
    """A fresh copy of the smoke run's world, free to be damaged."""
    return Path(shutil.copytree(smoke_run / "world", tmp_path / "world"))
