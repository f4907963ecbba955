"""Hands for the player: posted events, and turns of its own loop in between."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pygame
from desktop import VirtualPad, XDevices
from PIL import Image

from player.app import App
from player.model_thread import Shown
from player.screen import Screen
from player.screens.play import Pause
from player.widgets import Widget

A, B, X, Y, BACK, START, RB = 0, 1, 2, 3, 4, 6, 10
PAD = {"up": 11, "down": 12, "left": 13, "right": 14}
ARTEFACTS = Path(__file__).parent.parent / "artefacts"


class Player:
    """An app, and hands for it: every deed is a posted event, followed by turns of the app's own loop."""

    def __init__(self, app: App) -> None:
        self.app = app

    def turns(self, seconds: float) -> None:
        """Let time pass."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.app.turn()
            time.sleep(0.002)

    def wait(self, what: Callable[[], bool], seconds: float = 20.0) -> None:
        """Let time pass until something is so."""
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, f"waited in vain; the user was told {list(self.app.log)}"
            self.app.turn()
            time.sleep(0.002)

    def post(self, kind: int, **values: object) -> None:
        """One event, and the app's answer to it."""
        pygame.event.post(pygame.event.Event(kind, **values))
        self.app.turn()

    def down(self, key: int, mod: int = 0, text: str = "") -> None:
        """A key goes down."""
        self.post(pygame.KEYDOWN, key=key, mod=mod, unicode=text)

    def up(self, key: int) -> None:
        """It comes up."""
        self.post(pygame.KEYUP, key=key, mod=0)

    def key(self, key: int, mod: int = 0, text: str = "") -> None:
        """A key is typed."""
        self.down(key, mod, text)
        self.up(key)

    def ctrl(self, key: int) -> None:
        """Typed with Ctrl."""
        self.key(key, mod=pygame.KMOD_CTRL)

    def write(self, text: str) -> None:
        """Letters."""
        for letter in text:
            self.key(pygame.key.key_code(letter), text=letter)

    def button(self, *buttons: int) -> None:
        """Pad buttons are pressed together."""
        for number in buttons:
            self.post(pygame.JOYBUTTONDOWN, button=number, instance_id=0)
        for number in reversed(buttons):
            self.post(pygame.JOYBUTTONUP, button=number, instance_id=0)

    def focus(self, key: str, *, pad: bool = False) -> None:
        """Bring the focus to a widget, with Tab or, on a pad, with the d-pad and, past choices that take left and right, with RB."""
        screen = self.app.screen
        if pad:
            self._walk(key)
        for _ in range(400):
            if screen.focus == key:
                return
            if pad:
                self.button(RB)
            else:
                self.key(pygame.K_TAB)
        raise AssertionError(f"{key} cannot be reached; there are {[widget.key for widget in screen.widgets]}")

    def press(self, key: str) -> None:
        """Focus a widget with Tab and press it with Enter."""
        self.focus(key)
        self.key(pygame.K_RETURN)

    def _walk(self, key: str) -> None:
        """Find out where the d-pad leads, then press the way that it takes."""
        screen, start = self.app.screen, self.app.screen.focus
        ways: dict[str, list[str]] = {start: []}
        waiting = [start]
        while waiting and key not in ways:
            here = waiting.pop(0)
            for direction in PAD:
                screen.set_focus(here)
                if direction in ("up", "down") or type(screen.focused).turn is Widget.turn:  # a choice takes left and right itself
                    screen.navigate(direction)
                if screen.focus not in ways:
                    ways[screen.focus] = [*ways[here], direction]
                    waiting.append(screen.focus)
        screen.set_focus(start)
        for direction in ways.get(key, []):
            self.button(PAD[direction])
        assert screen.focus == key or key not in ways

    def click(self, key: str) -> None:
        """A click into the middle of a widget."""
        screen = self.app.screen
        rect = screen.find(key).rect
        at = (screen.body.x + rect.centerx, screen.body.y + rect.centery - screen.scroll)
        self.post(pygame.MOUSEBUTTONDOWN, button=1, pos=at)
        self.post(pygame.MOUSEBUTTONUP, button=1, pos=at)

    @property
    def shown(self) -> Shown:
        """The newest frame."""
        newest = self.app.model.newest
        assert newest is not None
        return newest

    @property
    def screen(self) -> str:
        """Which screen the user is in."""
        return type(self.app.screen).__name__

    def to(self, screen: str) -> None:
        """Wait for a screen."""
        self.wait(lambda: self.screen == screen)

    def frames(self, count: int) -> None:
        """Let the world make frames."""
        index = self.shown.index
        self.wait(lambda: self.shown.index >= index + count)

    def pause(self) -> None:
        """P, and the step in flight ends."""
        self.key(pygame.K_p)
        self.wait(lambda: self.app.model.paused and isinstance(self.app.screen, Pause))
        self.settled()

    def settled(self) -> None:
        """Wait until the model thread has done what was asked for."""
        job = self.app.work(lambda: None)
        self.wait(lambda: job.done)
        self.app.turn()

    def picture(self, name: str) -> np.ndarray:
        """What the window shows, kept as an artefact."""
        self.app.draw()
        shot = self.app.picture()
        ARTEFACTS.mkdir(exist_ok=True)
        Image.fromarray(shot).save(ARTEFACTS / f"player_{name}.png")
        return shot


class Keyboard(Player):
    """Hands on a real keyboard and mouse where there is an X server, else on posted events; they press everything with keys."""

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self._devices = XDevices() if os.environ.get("SDL_VIDEODRIVER") == "x11" else None

    def heard(self, kind: int) -> None:
        """Wait until SDL has an event, and the app's answer to it."""
        deadline = time.monotonic() + 5.0
        while not pygame.event.peek(kind):
            assert time.monotonic() < deadline, f"no {pygame.event.event_name(kind)} came"
            time.sleep(0.001)
        self.app.turn()

    def down(self, key: int, mod: int = 0, text: str = "") -> None:
        if self._devices is None:
            return super().down(key, mod, text)
        self._devices.key(key, True)
        return self.heard(pygame.KEYDOWN)

    def up(self, key: int) -> None:
        if self._devices is None:
            return super().up(key)
        self._devices.key(key, False)
        return self.heard(pygame.KEYUP)

    def key(self, key: int, mod: int = 0, text: str = "") -> None:
        if self._devices is None:
            return super().key(key, mod, text)
        self._devices.key(key, True)
        self._devices.key(key, False)
        return self.heard(pygame.KEYUP)

    def ctrl(self, key: int) -> None:
        if self._devices is None:
            return super().ctrl(key)
        self.down(pygame.K_LCTRL)
        self.key(key)
        return self.up(pygame.K_LCTRL)

    def pause(self) -> None:
        self.menu()
        self.wait(lambda: isinstance(self.app.screen, Pause))

    def menu(self) -> None:
        """The key that pauses."""
        self.key(pygame.K_p)

    def back(self) -> None:
        """One screen back."""
        self.key(pygame.K_ESCAPE)

    def act(self, count: int) -> None:
        """Go right for some frames."""
        self.down(pygame.K_RIGHT)
        self.frames(count)
        self.up(pygame.K_RIGHT)

    def paint(self) -> None:
        """Move the brush up in the canvas and paint."""
        self.press("canvas")
        for _ in range(5):
            self.key(pygame.K_UP)
        self.key(pygame.K_SPACE)
        self.back()

    def drag(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        """The mouse goes somewhere, and with its button down somewhere else; twice the same place is a click."""
        if self._devices is None:
            self.post(pygame.MOUSEBUTTONDOWN, button=1, pos=start)
            self.post(pygame.MOUSEMOTION, pos=end, buttons=(1, 0, 0), rel=(end[0] - start[0], end[1] - start[1]))
            self.post(pygame.MOUSEBUTTONUP, button=1, pos=end)
            return
        self._devices.move(start)
        self._devices.button(True)
        self.heard(pygame.MOUSEBUTTONDOWN)
        if start != end:
            self._devices.move(end)
            self.heard(pygame.MOUSEMOTION)
        self._devices.button(False)
        self.heard(pygame.MOUSEBUTTONUP)

    def click(self, key: str) -> None:
        body, rect = self.app.screen.body, self.app.screen.find(key).rect
        at = (body.x + rect.centerx, body.y + rect.centery - self.app.screen.scroll)
        self.drag(at, at)

    def lose_focus(self) -> None:
        """Another window comes to the front."""
        if self._devices is None:
            self.post(pygame.WINDOWFOCUSLOST)
        else:
            self._devices.take_focus()

    def close(self) -> None:
        """Put the devices away."""
        if self._devices is not None:
            self._devices.close()


class Gamepad(Keyboard):
    """Hands on a gamepad that SDL takes for a real one; they press everything with it."""

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self._pad = VirtualPad()
        self.wait(lambda: bool(app.router._pads))  # it is plugged in, and held open

    def button(self, *buttons: int) -> None:
        for down in (True, False):
            for number in buttons if down else reversed(buttons):
                self._pad.button(number, down)
                pygame.event.pump()  # SDL looks at its pads now
        self.heard(pygame.CONTROLLERBUTTONUP)

    def stick(self, right: float) -> None:
        """The right stick goes to the right, or back to the middle."""
        self._pad.axis(2, right)
        self.heard(pygame.CONTROLLERAXISMOTION)

    def trigger(self) -> None:
        """The right trigger is pressed and let go."""
        for value in (1.0, -1.0):
            self._pad.axis(5, value)
            self.heard(pygame.CONTROLLERAXISMOTION)

    def down(self, key: int, mod: int = 0, text: str = "") -> None:
        raise AssertionError("a pad has no keys")

    def press(self, key: str) -> None:
        self.focus(key, pad=True)
        self.button(A)

    def menu(self) -> None:
        self.button(START)

    def back(self) -> None:
        self.button(B)

    def act(self, count: int) -> None:
        self._pad.axis(0, 1.0)
        self.frames(count)
        self._pad.axis(0, 0.0)
        self.heard(pygame.CONTROLLERAXISMOTION)

    def paint(self) -> None:
        self.press("canvas")
        for _ in range(5):
            self.button(PAD["up"])
        self.button(A)
        self.back()


Kind = TypeVar("Kind", bound=Screen)


def screen(player: Player, kind: type[Kind]) -> Kind:
    """The screen, which must be of this kind."""
    found = player.app.screen
    assert isinstance(found, kind), f"in {type(found).__name__}"
    return found
