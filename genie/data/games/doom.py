"""ViZDoom scenarios with the free assets of Freedoom: first person, 96×64, one game step a tic."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from genie.data.games.game import LEVELS, NO_ADVICE, Game, Mood, OneByOne, Style, fit
from genie.data.store import Split
from genie.errors import MissingDependencyError

RATE = 35.0  # tics a second
THREADS = 2
LICENCE = "MIT (ViZDoom, Farama Foundation) with assets of Freedoom (BSD-3-Clause); recorded by genie"

WALK = {  # name: buttons pressed, keys held
    "noop": ((), ()),
    "left": (("TURN_LEFT",), ("left",)),
    "right": (("TURN_RIGHT",), ("right",)),
    "forward": (("MOVE_FORWARD",), ("up",)),
    "left+forward": (("TURN_LEFT", "MOVE_FORWARD"), ("left", "up")),
    "right+forward": (("TURN_RIGHT", "MOVE_FORWARD"), ("right", "up")),
}
DODGE = {"noop": ((), ()), "left": (("MOVE_LEFT",), ("left",)), "right": (("MOVE_RIGHT",), ("right",))}
WALKING = Style(
    moods={
        "walk": Mood(0.5, (0.03, 0.06, 0.06, 0.45, 0.2, 0.2)),
        "bear left": Mood(0.15, (0.02, 0.4, 0.03, 0.2, 0.35, 0.0)),
        "bear right": Mood(0.15, (0.02, 0.03, 0.4, 0.2, 0.0, 0.35)),
        "anything": Mood(0.2, (0.15, 0.17, 0.17, 0.17, 0.17, 0.17)),
    },
    setting_out=0.4,
    mood_steps=100,
)
DODGING = Style(moods={"anything": Mood(1.0, (0.2, 0.4, 0.4))}, hold_steps=14)

SCENARIOS = {"my_way_home": (WALK, WALKING), "take_cover": (DODGE, DODGING), "health_gathering_supreme": (WALK, WALKING)}
Buttons = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]


class DoomGame:
    """One ViZDoom game as a `SingleGame`."""

    def __init__(self, scenario: str, actions: Buttons, resolution: tuple[int, int]) -> None:
        vizdoom = load_vizdoom()
        self._resolution = resolution
        buttons = sorted({button for pressed, _ in actions.values() for button in pressed})
        self._told = [[button in pressed for button in buttons] for pressed, _ in actions.values()]
        game = vizdoom.DoomGame()
        game.load_config(str(Path(vizdoom.scenarios_path) / f"{scenario}.cfg"))
        game.set_doom_game_path(str(Path(vizdoom.__file__).parent / "freedoom2.wad"))
        game.set_available_buttons([getattr(vizdoom.Button, button) for button in buttons])
        game.set_screen_resolution(vizdoom.ScreenResolution.RES_320X240)
        game.set_screen_format(vizdoom.ScreenFormat.RGB24)
        game.set_render_hud(False)
        game.set_window_visible(False)
        game.set_sound_enabled(False)
        game.set_doom_config_path(str(Path(tempfile.gettempdir()) / "genie-vizdoom.ini"))  # else it writes one where it is started
        game.set_mode(vizdoom.Mode.PLAYER)
        game.init()
        self._game = game
        self._last = np.zeros((*resolution, 3), np.uint8)

    def reset(self, seed: int) -> np.ndarray:
        self._game.set_seed(seed)
        self._game.new_episode()
        return self._frame()

    def step(self, action: int) -> tuple[np.ndarray, float, bool]:
        reward = self._game.make_action(self._told[action])
        over = self._game.is_episode_finished()
        return (self._last if over else self._frame()), float(reward), over

    def advice(self) -> int:
        return NO_ADVICE

    def observation(self) -> Any:
        return None

    def close(self) -> None:
        self._game.close()

    def _frame(self) -> np.ndarray:
        self._last = fit(self._game.get_state().screen_buffer, self._resolution)
        return self._last


def load_vizdoom() -> Any:
    """The package.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import vizdoom
    except ImportError as error:
        raise MissingDependencyError("Recording Doom needs vizdoom: pip install 'genie-worlds[games]'.") from error
    return vizdoom


def doom(scenario: str, resolution: tuple[int, int] | None = None) -> Game:
    """A scenario as a game to record."""
    actions, style = SCENARIOS[scenario]
    size = resolution or (64, 96)

    def make(count: int, split: Split, seed: int) -> OneByOne:
        return OneByOne([DoomGame(scenario, actions, size) for _ in range(count)], LEVELS[split], seed, THREADS)

    return Game(
        name=f"doom-{scenario.replace('_', '-')}",
        resolution=size,
        rate=RATE,
        skip=2,
        actions={name: keys for name, (_, keys) in actions.items()},
        levels=LEVELS,
        style=style,
        source=f"Doom, scenario {scenario} (ViZDoom {load_vizdoom().__version__}, Freedoom 2)",
        licence=LICENCE,
        make=make,
        about={"scenario": scenario, "buttons": {name: list(pressed) for name, (pressed, _) in actions.items()}},
        environments=4,
    )
