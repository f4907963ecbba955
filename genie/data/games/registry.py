"""The games by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genie.errors import GenieError

if TYPE_CHECKING:
    from genie.data.games.game import Game  # the command line lists the names, and need not load what reads data for that

DOOM = ("doom-my-way-home", "doom-take-cover", "doom-health-gathering-supreme")
PROCGEN = ("coinrun", "bigfish", "bossfight", "caveflyer", "chaser", "climber", "dodgeball", "fruitbot", "heist", "jumper", "leaper",
           "maze", "miner", "ninja", "plunder", "starpilot")  # fmt: skip
HARD = "-hard"  # behind the name of a procgen game
GAMES = (*PROCGEN, *DOOM, "car-racing", "pong", "breakout")
GYM = "gym:"  # before the id of any Gymnasium environment
STRIDE = 16  # resolutions are multiples of this: pixels a side of one position of the tokenizer


def find_game(name: str, resolution: tuple[int, int] | None = None) -> Game:
    """The game of this name, at its own resolution or another one.

    Args:
        name: one of `GAMES`, a procgen game with `-hard` behind it, or `gym:` and the id of a Gymnasium environment.
        resolution: height and width; None for the game's own.

    Raises:
        GenieError: no such game, or a resolution that no tokenizer reads.
        MissingDependencyError: the game is not installed.
    """
    if resolution is not None:
        check_resolution(resolution)
    if name.startswith(GYM) and len(name) > len(GYM):
        from genie.data.games.known import any_gym

        return any_gym(name.removeprefix(GYM), resolution)
    plain, mode = name.removesuffix(HARD), "hard" if name.endswith(HARD) else "easy"
    if plain == "coinrun":
        from genie.data import coinrun

        return coinrun.game(resolution, mode)
    if plain in PROCGEN:
        from genie.data.games import procgen

        actions = procgen.GAMES[plain]
        return procgen.procgen_game(plain, actions, procgen.any_action(len(actions)), resolution, mode)
    if name in DOOM:
        from genie.data.games.doom import doom

        return doom(name.removeprefix("doom-").replace("-", "_"), resolution)
    from genie.data.games.known import KNOWN

    if name not in KNOWN:
        raise GenieError(
            f"there is no recorder for {name!r}; choose one of {', '.join(GAMES)}, "
            f"a procgen game with {HARD} behind it, or gym:ID for any Gymnasium environment."
        )
    return KNOWN[name](resolution)


def parse_size(text: str) -> tuple[int, int]:
    """`96x64` (width × height, as pictures are named) -> (64, 96), height first.

    Raises:
        GenieError: not two numbers, or a size that no tokenizer reads.
    """
    width, cross, height = text.lower().replace("×", "x").partition("x")
    if not (cross and width.strip().isdecimal() and height.strip().isdecimal()):
        raise GenieError(f"{text!r} is no size; write width x height, for example 96x64.")
    return check_resolution((int(height), int(width)))


def check_resolution(resolution: tuple[int, int]) -> tuple[int, int]:
    """The resolution itself.

    Raises:
        GenieError: not multiples of the tokenizer's stride, or too large.
    """
    height, width = resolution
    if height % STRIDE or width % STRIDE or not 0 < height * width <= 512 * 512:
        raise GenieError(f"{width}×{height} does not fit: both sides must be multiples of {STRIDE}, with at most 512×512 pixels in all.")
    return resolution
