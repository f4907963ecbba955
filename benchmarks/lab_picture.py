"""A picture of the action lab of a world learned from video: every code named as the lab proposes, from one prompt.

python benchmarks/lab_picture.py run/world --prompt level-03 --out docs/pictures/doom_lab.png
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated

import pygame
import typer
from PIL import Image
from player_pictures import COLOURS
from player_soak import Tour


def main(world: str, out: Annotated[Path, typer.Option()], prompt: str | None = None, seed: int = 0, show: int = 0) -> None:
    """Open the lab, press what it proposes for every code, choose code `show`, keep the picture; print what was said and called."""
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GENIE_CONFIG_DIR"], os.environ["GENIE_DATA_DIR"] = f"{folder}/config", f"{folder}/data"
        from genie.world import load_world
        from player.launch import open_app
        from player.motion import in_words, names_for
        from player.screens.lab import Lab

        opened = load_world(world)
        app = open_app(opened, prompt, seed=seed)
        tour = Tour(app, seed=0)
        tour.wait(lambda: app.model.newest is not None and app.model.newest.index >= 1)
        tour.key(pygame.K_F7)
        tour.rolled()
        tour.idle()
        lab = app.screen
        assert isinstance(lab, Lab)
        for action in lab.actions:
            roll = lab.rolls[action.id]
            tour.press(f"action:{action.id}")
            tour.press(f"call:{names_for(roll.motion, roll.change)[0]}")
            mine, told = app.settings.action(opened.name, action.id), in_words(roll.motion, roll.change)
            print(f"{action.name}: {told}; called {mine.name}, keys {mine.keys}; {roll.motion}, {roll.change:.1f}")
        tour.press(f"action:{show}")
        tour.turns(0.9)
        app._toasts.clear()
        app.draw()
        Image.fromarray(app.picture()).quantize(COLOURS, dither=Image.Dither.NONE).save(out, optimize=True)
        app.close()


if __name__ == "__main__":
    typer.run(main)
