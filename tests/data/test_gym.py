"""Any Gymnasium environment, known to nobody, through `genie record gym:ID`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from typer.testing import CliRunner

from genie.cli.app import app
from genie.data.card import read_card
from genie.data.store import PROGRESS_FILE, Dataset

gymnasium = pytest.importorskip("gymnasium", reason="pip install 'genie-worlds[games]'")
spaces = gymnasium.spaces


class Bar(gymnasium.Env):  # type: ignore[misc,name-defined]
    """A bar that grows by what it is told, for twenty steps."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 30}
    interrupted = False  # whether the next training episode is

    def __init__(self, action_space: Any, render_mode: str | None = None) -> None:
        self.action_space, self.render_mode = action_space, render_mode
        self.observation_space = spaces.Box(0, np.inf, (1,))
        self.length = 0.0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        if Bar.interrupted and seed is not None and 0 < seed < 1_000_000:
            Bar.interrupted = False
            raise KeyboardInterrupt
        super().reset(seed=seed)
        self.length = float(self.np_random.integers(10))
        return np.array([self.length], np.float32), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.length += float(np.abs(action).sum()) + 0.5
        return np.array([self.length], np.float32), 1.0, False, False, {}

    def render(self) -> np.ndarray:
        picture = np.full((40, 60, 3), 20, np.uint8)
        picture[:, : round(self.length) % 60] = 220
        return picture


@pytest.fixture
def register() -> Iterator[Callable[[Any], None]]:
    """Registers `Bar-v0` with an action space."""
    yield lambda space: gymnasium.register("Bar-v0", Bar, max_episode_steps=20, kwargs={"action_space": space})
    del gymnasium.registry["Bar-v0"]
    Bar.interrupted = False


@pytest.mark.parametrize(
    ("space", "names"),
    [
        (spaces.Discrete(3, start=1), ("move 0", "move 1", "move 2")),
        (spaces.Box(-1, 1, (2,)), ("noop", "axis 0-", "axis 0+", "axis 1-", "axis 1+")),
        (spaces.MultiBinary(2), ("noop", "button 0", "button 1")),
    ],
    ids=["discrete", "box", "buttons"],
)
def test_any_environment_is_recorded_and_gone_on_with_after_an_interruption(
    space: Any, names: tuple[str, ...], register: Callable[[Any], None], tmp_path: Path
) -> None:
    register(space)
    command = ["record", "gym:Bar-v0", "--frames", "1000", "--held-out", "200", "--licence", "CC0", "--out", str(tmp_path / "d")]
    Bar.interrupted = True
    assert CliRunner().invoke(app, command).exit_code == 130
    there = json.loads((tmp_path / "d" / PROGRESS_FILE).read_text())["episodes"]["held_out"]  # they come first
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.exception
    info, train, held_out = Dataset(tmp_path / "d").info, *(Dataset(tmp_path / "d").split(name) for name in ("train", "held_out"))
    assert (info.action_names, info.resolution, info.frames) == (names, (64, 96), {"train": 1000, "held_out": 200})
    assert "test_gym)" in info.recipe["game"]  # the package it comes from
    assert np.stack([held_out.episode_starts, held_out.level_seeds], axis=1).tolist() == there
    assert set(train.actions.tolist()) == set(range(len(names)))
    assert train.frames[:].std() > 50
    card = read_card(tmp_path / "d")
    assert card is not None and (card.licence, card.consent) == ("CC0", "not needed: no people played")


def test_that_nobody_knows_a_licence_is_said_before_recording(register: Callable[[Any], None], tmp_path: Path) -> None:
    register(spaces.Discrete(2))
    command = ["record", "gym:Bar-v0", "--frames", "1000", "--held-out", "200", "--out", str(tmp_path / "d")]
    done = CliRunner().invoke(app, command)
    assert "say it with --licence" in " ".join(done.output.split())
    assert Dataset(tmp_path / "d").info.licence == "unknown"
