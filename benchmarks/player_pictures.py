"""Makes the pictures of docs/player.md: every screen of the player, in use.

python benchmarks/player_pictures.py docs/pictures/player
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pygame
import typer
from PIL import Image
from player_soak import Tour

COLOURS = 160  # of a picture's palette


def main(out: Path) -> None:
    """Visit the screens and keep what they show in the folder OUT."""
    out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GENIE_CONFIG_DIR"], os.environ["GENIE_DATA_DIR"] = f"{folder}/config", f"{folder}/data"
        from genie.world import load_world
        from player.launch import open_app

        app = open_app(load_world("coinrun-easy"), "level-06", seed=3)
        tour = Tour(app, seed=0)

        def keep(name: str) -> None:
            app._toasts.clear()
            app.draw()
            picture = Image.fromarray(app.picture()).quantize(COLOURS, dither=Image.Dither.NONE)
            picture.save(out / f"{name}.png", optimize=True)

        tour.wait(lambda: app.model.newest is not None and app.model.newest.index >= 4)
        tour.key(pygame.K_RIGHT, hold=2.0)
        tour.post(pygame.KEYDOWN, key=pygame.K_RIGHT, mod=0, unicode="")
        tour.key(pygame.K_SPACE, hold=1.5)
        tour.key(pygame.K_F10)
        tour.turns(2.0)
        keep("play")
        tour.key(pygame.K_F10)
        tour.post(pygame.KEYUP, key=pygame.K_RIGHT, mod=0)
        tour.key(pygame.K_b, pygame.KMOD_CTRL)
        tour.key(pygame.K_BACKSPACE, hold=0.8)
        tour.key(pygame.K_LEFT, hold=1.5)
        tour.key(pygame.K_p)
        tour.turns(0.3)
        keep("pause")
        tour.press("branches")
        tour.idle()
        tour.press("tree")
        for _ in range(20):
            tour.key(pygame.K_LEFT)
        tour.key(pygame.K_ESCAPE)
        tour.press("re-roll")
        tour.idle()
        tour.press("compare")
        tour.press("tree")
        for key in (pygame.K_DOWN, *[pygame.K_RIGHT] * 18):
            tour.key(key)
        tour.idle()
        keep("timeline")
        tour.key(pygame.K_ESCAPE)
        tour.press("export")
        tour.press("kind:mp4")
        tour.idle()
        keep("export")
        tour.out()
        tour.key(pygame.K_F3)
        tour.idle()
        tour.app.screen.set_focus("tool:brush")
        tour.press("stamp:6")
        tour.press("canvas")
        for key in [pygame.K_LEFT] * 14 + [pygame.K_UP] * 6:
            tour.key(key)
        tour.post(pygame.KEYDOWN, key=pygame.K_RETURN, mod=0, unicode="")
        for _ in range(22):
            tour.key(pygame.K_UP)
        tour.post(pygame.KEYUP, key=pygame.K_RETURN, mod=0)
        tour.key(pygame.K_ESCAPE)
        tour.press("check")
        tour.idle()
        tour.turns(0.2)
        keep("edit")
        tour.out()
        tour.key(pygame.K_F7)
        tour.rolled()
        tour.press("action:3")
        tour.press("name")
        for letter in "jump":
            tour.key(pygame.key.key_code(letter), text=letter)
        tour.key(pygame.K_RETURN)
        tour.turns(0.9)
        keep("lab")
        tour.out()
        tour.menu("studio")
        tour.press("prompt:level-09")
        tour.press("stamp:0")
        tour.press("canvas")
        for key in [pygame.K_RIGHT] * 16 + [pygame.K_UP] * 4:
            tour.key(key)
        tour.key(pygame.K_SPACE)
        tour.key(pygame.K_ESCAPE)
        tour.idle()
        tour.turns(0.4)
        keep("studio")
        tour.out()
        tour.key(pygame.K_F5)
        tour.idle()
        tour.menu("home")
        tour.turns(0.5)
        tour.press("compare")
        tour.wait(lambda: getattr(app.screen, "game", None) is not None)
        tour.key(pygame.K_RIGHT, hold=1.2)
        tour.post(pygame.KEYDOWN, key=pygame.K_RIGHT, mod=0, unicode="")
        tour.key(pygame.K_SPACE, hold=0.5)
        tour.turns(1.2)
        keep("compare")
        tour.key(pygame.K_ESCAPE)
        tour.key(pygame.K_ESCAPE)
        tour.turns(0.8)
        keep("home")
        tour.press("library")
        tour.wait(lambda: getattr(app.screen, "kept", None) is not None)
        first = next(widget.key for widget in app.screen.widgets if widget.key.startswith("session:"))
        tour.press(first)
        keep("library")
        tour.key(pygame.K_ESCAPE)
        tour.press("settings")
        app.screen.set_focus("bind:re-roll")
        keep("settings")
        tour.key(pygame.K_ESCAPE)
        tour.press("diagnostics")
        keep("diagnostics")
        tour.key(pygame.K_ESCAPE)
        tour.key(pygame.K_F1)
        keep("help")
        tour.key(pygame.K_ESCAPE)
        time.sleep(0.1)
        app.close()
    print(", ".join(f"{path.name} {path.stat().st_size >> 10} kB" for path in sorted(out.glob("*.png"))))


if __name__ == "__main__":
    typer.run(main)
