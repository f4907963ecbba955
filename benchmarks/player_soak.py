"""Plays through every screen of the player for minutes, with real events, and watches memory, threads and messages.

    python benchmarks/player_soak.py --seconds 300

Prints one line of JSON; exit status 1 if anything went wrong or memory grew by more than 60 MiB after the first rounds.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pygame

from player.app import App
from player.screens.lab import Lab
from player.screens.play import Pause

GROWTH = 60.0  # MiB that memory may grow by
WARM = 2  # rounds after which it is watched


@dataclass
class Findings:
    """What a soak found."""

    rounds: int = 0
    seconds: float = 0.0
    memory: list[float] = field(default_factory=list)  # MiB resident after each round, what the allocator holds in reserve given back
    objects: list[int] = field(default_factory=list)  # of Python, after each round
    threads: int = 0
    files: int = 0  # open
    errors: list[str] = field(default_factory=list)
    screens: dict[str, int] = field(default_factory=dict)  # visits

    @property
    def growth(self) -> float:
        """MiB since the warm-up."""
        return self.memory[-1] - self.memory[min(WARM, len(self.memory)) - 1] if self.memory else 0.0


class Tour:
    """Hands that know the way."""

    def __init__(self, app: App, seed: int) -> None:
        self.app, self.random = app, np.random.default_rng(seed)
        self.found = Findings()

    def turns(self, seconds: float) -> None:
        """Let time pass."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.turn()
            time.sleep(0.004)

    def turn(self) -> None:
        """Once around the player's loop."""
        self.app.turn()
        name = type(self.app.screen).__name__
        self.found.screens[name] = self.found.screens.get(name, 0) + 1

    def wait(self, what: Callable[[], bool], seconds: float = 180.0) -> None:
        """Until something is so."""
        until = time.monotonic() + seconds
        while not what():
            if time.monotonic() > until:
                raise TimeoutError(f"waited in vain in {type(self.app.screen).__name__}")
            self.turn()
            time.sleep(0.004)

    def post(self, kind: int, **values: object) -> None:
        """One event."""
        pygame.event.post(pygame.event.Event(kind, **values))
        self.turn()

    def key(self, key: int, mod: int = 0, hold: float = 0.0, text: str = "") -> None:
        """A key is typed, or held for seconds."""
        self.post(pygame.KEYDOWN, key=key, mod=mod, unicode=text)
        if hold:
            self.turns(hold)
        self.post(pygame.KEYUP, key=key, mod=mod)

    def press(self, widget: str) -> None:
        """Focus a widget and press it with Enter."""
        self.app.screen.set_focus(widget)
        self.key(pygame.K_RETURN)

    def idle(self) -> None:
        """Until the model thread has done what was asked for."""
        job = self.app.work(lambda: None)
        self.wait(lambda: job.done)
        self.turn()

    def rolled(self) -> None:
        """Until the action lab has every rollout."""
        screen = self.app.screen
        if isinstance(screen, Lab):
            self.wait(lambda: len(screen.rolls) == len(screen.actions))

    def menu(self, entry: str) -> None:
        """The pause menu's entry."""
        if not isinstance(self.app.screen, Pause):
            self.key(pygame.K_p)
            self.wait(lambda: isinstance(self.app.screen, Pause))
        self.press(entry)
        self.idle()

    def out(self) -> None:
        """Esc until play or home is there, then on with play."""
        for _ in range(8):
            name = type(self.app.screen).__name__
            if name == "Pause":
                self.key(pygame.K_p)
            elif name in ("Play", "Home"):
                break
            else:
                self.key(pygame.K_ESCAPE)
        self.turns(0.05)

    # The visits.

    def play(self) -> None:
        """Act, jump, fast, back."""
        for _ in range(4):
            self.key(int(self.random.choice([pygame.K_RIGHT, pygame.K_LEFT, pygame.K_SPACE, pygame.K_3])), hold=0.25)
        self.key(pygame.K_TAB, hold=0.3)
        self.key(pygame.K_BACKSPACE, hold=0.3)
        self.key(pygame.K_F5)
        self.key(pygame.K_F8)
        self.idle()
        self.key(pygame.K_b, pygame.KMOD_CTRL)
        self.key(pygame.K_F10)
        self.turns(0.3)
        self.key(pygame.K_F10)
        self.key(pygame.K_m, pygame.KMOD_CTRL)
        self.turns(0.3)
        self.key(pygame.K_m, pygame.KMOD_CTRL)
        self.key(pygame.K_m, pygame.KMOD_CTRL)
        self.key(pygame.K_z, pygame.KMOD_CTRL)
        self.key(pygame.K_F9)
        self.idle()
        self.key(pygame.K_F2)
        self.key(pygame.K_F2)

    def timeline(self) -> None:
        """Look along the tree, re-roll, compare, label."""
        self.menu("branches")
        self.idle()
        self.press("tree")
        for key in (pygame.K_LEFT, pygame.K_LEFT, pygame.K_DOWN, pygame.K_LEFT, pygame.K_UP, pygame.K_PAGEUP):
            self.key(key)
        self.key(pygame.K_ESCAPE)
        self.press("re-roll")
        self.idle()
        self.press("compare")
        self.press("label")
        self.key(pygame.K_q, text="q")
        self.key(pygame.K_RETURN)
        self.idle()
        self.press("export")
        self.press("kind:npz")
        self.idle()
        self.key(pygame.K_ESCAPE)
        self.press("here")
        self.idle()
        self.out()

    def edit(self) -> None:
        """Paint, look at what is kept, go on."""
        self.menu("edit")
        self.press(f"stamp:{int(self.random.integers(4))}")
        self.press("canvas")
        for _ in range(int(self.random.integers(3, 9))):
            self.key(int(self.random.choice([pygame.K_UP, pygame.K_LEFT, pygame.K_RIGHT])))
        self.key(pygame.K_SPACE)
        self.key(pygame.K_ESCAPE)
        self.idle()
        self.press("check")
        self.idle()
        self.press("apply")
        self.idle()
        self.out()
        self.turns(0.5)

    def lab(self) -> None:
        """Roll every action, name one."""
        self.menu("lab")
        self.rolled()
        self.turns(0.4)
        self.press("action:2")
        self.press("name")
        self.key(pygame.K_h, text="h")
        self.key(pygame.K_RETURN)
        self.out()

    def studio(self) -> None:
        """Another first frame, and a new session from it."""
        self.menu("studio")
        self.press(f"prompt:level-{int(self.random.integers(12)):02d}")
        self.press("canvas")
        self.key(pygame.K_SPACE)
        for _ in range(5):
            self.key(pygame.K_RIGHT)
        self.key(pygame.K_ESCAPE)
        self.idle()
        self.turns(0.3)
        self.press("load")
        self.key(pygame.K_ESCAPE)
        self.press("play")
        self.idle()
        self.out()
        self.turns(0.5)

    def menus(self) -> None:
        """Settings, help, library, diagnostics, home and back."""
        self.menu("settings")
        self.app.screen.set_focus("font")
        self.key(pygame.K_RIGHT)
        self.key(pygame.K_LEFT)
        self.key(pygame.K_ESCAPE)
        self.key(pygame.K_F1)
        self.key(pygame.K_PAGEDOWN)
        self.key(pygame.K_ESCAPE)
        self.menu("home")
        for entry in ("library", "diagnostics"):
            self.press(entry)
            self.idle()
            self.key(pygame.K_ESCAPE)
        self.press("resume")
        self.idle()
        self.out()

    def compare(self) -> None:
        """The real game beside it, then back to play from home."""
        self.menu("home")
        self.press("compare")
        self.wait(lambda: getattr(self.app.screen, "game", None) is not None)
        self.key(pygame.K_RIGHT, hold=0.6)
        self.key(pygame.K_ESCAPE)
        self.key(pygame.K_ESCAPE)
        self.press("resume")
        self.idle()
        self.out()


def soak(app: App, seconds: float, rounds: int = 1, seed: int = 0) -> Findings:
    """Visit every screen for at least so many seconds and rounds, starting and ending in play."""
    tour = Tour(app, seed)
    began = time.monotonic()
    tour.wait(lambda: app.model.newest is not None and app.model.newest.index >= 1)
    while time.monotonic() - began < seconds or tour.found.rounds < rounds:
        for visit in (tour.play, tour.timeline, tour.edit, tour.lab, tour.studio, tour.menus, tour.compare):
            visit()
        tour.found.rounds += 1
        gc.collect()
        tour.found.objects.append(len(gc.get_objects()))
        tour.found.memory.append(_resident())
    found = tour.found
    found.seconds = time.monotonic() - began
    found.threads = threading.active_count()
    found.files = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").is_dir() else 0
    found.errors = [line for line in app.log if "Error" in line or "stopped:" in line]
    if app.model.error is not None:
        found.errors.append(repr(app.model.error))
    return found


def _resident() -> float:
    """MiB of this process in memory; 0 where the system does not tell."""
    with suppress(AttributeError, OSError, TypeError):  # another C library: what it holds in reserve is counted too
        ctypes.CDLL(None).malloc_trim(0)
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    """Soak the player in folders of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GENIE_CONFIG_DIR"], os.environ["GENIE_DATA_DIR"] = f"{folder}/config", f"{folder}/data"
        from genie.world import load_world
        from player.launch import open_app

        app = open_app(load_world("coinrun"), seed=1)
        try:
            found = soak(app, options.seconds, seed=options.seed)
            kept = len(app.shelf.sessions())
        finally:
            app.close()
    facts = {name: value for name, value in vars(found).items() if name not in ("memory", "objects")}
    memory = [round(value, 1) for value in found.memory]
    print(json.dumps({**facts, "memory": memory, "objects": found.objects, "growth": round(found.growth, 1), "sessions": kept}))
    sys.exit(bool(found.errors) or found.growth > GROWTH)


if __name__ == "__main__":
    main()
