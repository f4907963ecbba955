"""How the command line opens the player."""

from __future__ import annotations

from typing import Any

from genie.world import World
from player import opening
from player.app import App, display_available
from player.screens.home import Home

__all__ = ["display_available", "launch", "open_app"]


def open_app(
    world: World | None = None,
    prompt: Any = None,
    seed: int = 0,
    scale: int | None = None,
    runtime: tuple[str, str] = ("auto", "auto"),
    **sampling: Any,
) -> App:
    """The player's window, in a world if one is given, else at home.

    Args:
        prompt, seed, sampling: as of `World.start`.
        scale: screen pixels a side of one world pixel; default: the settings'.
        runtime: device and back end of worlds that are opened from home.

    Raises:
        GenieError: no window could be opened.
    """
    app = App(scale, runtime)
    app.reset_to(Home(app))
    if world is not None:
        app.worlds[opening.key_of(world)] = world
        app.work(lambda: opening.start(app, world, prompt, seed, **sampling), lambda _: opening.show_play(app), "open")
    return app


def launch(*arguments: Any, **options: Any) -> None:
    """`open_app`, until the user leaves."""
    open_app(*arguments, **options).run()
