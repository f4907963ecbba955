"""One way for every event: keyboard, gamepad and mouse become controls of the world, commands of the player, or moves in a screen."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pygame
from pygame._sdl2 import controller

from player.bindings import BUTTONS, CONTROLS, HOLDS, key_token, modifier_tokens, parse
from player.controls import DIRECT
from player.widgets import ARROWS

if TYPE_CHECKING:
    from player.app import App

DEAD_ZONE = 0.5
AWAY = 0.04  # seconds: a window that changes its size loses the focus for a moment
REPEAT_AFTER, REPEAT_EVERY = 0.35, 0.07  # seconds that a direction is held in a screen
PRESSES = (pygame.K_RETURN, pygame.K_KP_ENTER, pygame.K_SPACE)
MOUSE = (pygame.MOUSEBUTTONDOWN, pygame.MOUSEBUTTONUP, pygame.MOUSEMOTION, pygame.MOUSEWHEEL)
TRIGGERS = {4: "lt", 5: "rt"}  # axes of a mapped gamepad
RIGHT_STICK = (2, 3)  # too: it means directions also where the other stick chooses among buttons, for single steps in a pause


class Router:
    """Keeps what is held, on every device."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._keys: set[str] = set()
        self._buttons: set[str] = set()
        self._holding: dict[str, str] = {}  # source -> command that counts while it is held
        self._left: float | None = None  # when the window lost the focus
        self._moving: tuple[str, str, float] | None = None  # source, direction, when it repeats
        # instance -> open device: events come only from pads that are held open
        self._pads: dict[int, controller.Controller | pygame.joystick.JoystickType] = {}
        self._mapped: set[int] = set()  # instances that SDL knows the layout of; their raw events are left aside
        with suppress(pygame.error):
            controller.init()

    def close(self) -> None:
        """Let go of the pads and of SDL's part for them, before `pygame.quit`, which leaves that part in a state without new pads."""
        for pad in self._pads.values():
            pad.quit()
        self._pads.clear()
        controller.quit()

    def handle(self, event: pygame.event.Event) -> None:
        """One SDL event."""
        kind = event.type
        if kind == pygame.KEYDOWN:
            self._key_down(event)
        elif kind == pygame.KEYUP:
            self._up(key_token(event.key), self._keys)
        elif kind in MOUSE:
            self._app.screen.mouse(event)
        elif kind == pygame.WINDOWFOCUSLOST:
            self.let_go()
            self._left = time.perf_counter()
        elif kind == pygame.WINDOWFOCUSGAINED:
            self._left = None
        elif kind == pygame.DROPFILE:
            self._app.dropped(event.file)
        elif kind in (pygame.JOYDEVICEADDED, pygame.CONTROLLERDEVICEADDED):
            self._add_pad(event.device_index)
        elif kind in (pygame.JOYDEVICEREMOVED, pygame.CONTROLLERDEVICEREMOVED):
            self._pads.pop(event.instance_id, None)
            self._mapped.discard(event.instance_id)
            for token in list(self._buttons):
                self._up(token, self._buttons)
        elif kind in (pygame.CONTROLLERBUTTONDOWN, pygame.CONTROLLERBUTTONUP):
            self._button(event.button, kind == pygame.CONTROLLERBUTTONDOWN)
        elif kind == pygame.CONTROLLERAXISMOTION and event.axis in RIGHT_STICK:
            value = event.value / 32768
            self._sides("right-stick", value if event.axis == RIGHT_STICK[0] else None, value if event.axis == RIGHT_STICK[1] else None)
        elif kind == pygame.CONTROLLERAXISMOTION:
            self._axis(event.axis, event.value / 32768)
        elif getattr(event, "instance_id", None) in self._mapped:
            pass
        elif kind in (pygame.JOYBUTTONDOWN, pygame.JOYBUTTONUP):
            self._button(event.button, kind == pygame.JOYBUTTONDOWN)
        elif kind == pygame.JOYAXISMOTION:
            self._axis(event.axis, event.value)
        elif kind == pygame.JOYHATMOTION:
            self._sides("d", event.value[0], -event.value[1])

    def tick(self) -> None:
        """A direction that is held goes on; a focus that was lost and has not come back is lost."""
        if self._left is not None and time.perf_counter() - self._left > AWAY:
            self._left = None
            self._app.lost_focus()
        if self._moving is not None and time.perf_counter() >= self._moving[2]:
            source, direction, _ = self._moving
            if self._app.screen.plays:
                self._moving = None
            else:
                self._moving = (source, direction, time.perf_counter() + REPEAT_EVERY)
                self._app.screen.navigate(direction)

    def let_go(self) -> None:
        """Forget what is held: its release will not be heard, or goes to another screen."""
        for name in self._holding.values():
            self._app.command(name, False)
        self._keys.clear()
        self._buttons.clear()
        self._holding.clear()
        self._moving = None
        self._app.model.latch.clear()

    def _key_down(self, event: pygame.event.Event) -> None:
        token = key_token(event.key)
        if token in self._keys:
            return
        self._keys.add(token)
        down = frozenset(self._keys) | modifier_tokens(getattr(event, "mod", 0))
        screen = self._app.screen
        if screen.listener is not None:
            screen.listener("keys", down)
            return
        captured = screen.captured
        if captured is not None and captured.typed(event):
            self._app.dirty = True
            return
        if not screen.plays and not down & {"ctrl", "alt", "meta"}:
            if event.key in ARROWS:
                return self._move(token, ARROWS[event.key])
            if event.key in PRESSES:
                return screen.press()
            if event.key == pygame.K_ESCAPE:
                return screen.let_go_or_back()
            if event.key == pygame.K_TAB:
                return screen.cycle(-1 if "shift" in down else 1)
            if event.key in (pygame.K_PAGEUP, pygame.K_PAGEDOWN):
                return screen.page(-1 if event.key == pygame.K_PAGEUP else 1)
        target = self._app.keys.match(down, token)
        return self._target(target, token)

    def _button(self, number: int, down: bool) -> None:
        if 0 <= number < len(BUTTONS):
            self._token(BUTTONS[number], down)

    def _axis(self, axis: int, value: float) -> None:
        if axis in (0, 1):
            self._sides("stick", value if axis == 0 else None, value if axis == 1 else None)
        elif axis in TRIGGERS:
            self._token(TRIGGERS[axis], value > DEAD_ZONE)

    def _sides(self, name: str, x: float | None, y: float | None) -> None:
        """A stick or hat: each side beyond the dead zone is a button."""
        for value, less, more in ((x, "left", "right"), (y, "up", "down")):
            if value is not None:
                self._token(f"{name}-{less}", value < -DEAD_ZONE)
                self._token(f"{name}-{more}", value > DEAD_ZONE)

    def _token(self, token: str, down: bool) -> None:
        """A pad's button, by name."""
        if down == (token in self._buttons):
            return
        if not down:
            return self._up(token, self._buttons)
        self._buttons.add(token)
        held = frozenset(self._buttons)
        screen = self._app.screen
        if screen.listener is not None:
            return screen.listener("pad", held)
        target = self._app.pad.match(held, token)
        chord = target is not None and any(len(parse(chord)) > 1 and parse(chord) <= held for chord in self._app.pad.table[target])
        if not screen.plays and not chord:
            direction = token.partition("-")[2]
            if token.startswith(("d-", "stick-")):
                return self._move(f"pad:{token}", direction)
            if token == "a":
                return screen.press()
            if token == "b" or (token == "start" and not screen.latches):
                return screen.let_go_or_back()
            if screen.focused is not None and screen.focused.command(token):
                self._app.dirty = True
                return None
            if token in ("lb", "rb") and not screen.latches:
                return screen.shoulder(-1 if token == "lb" else 1)
        return self._target(target, f"pad:{token}")

    def _target(self, target: str | None, source: str) -> None:
        if target is None:
            return
        screen = self._app.screen
        if target in CONTROLS or target.startswith(DIRECT):
            control = self._app.model.map.control(target) if self._app.model.map is not None else None
            if (screen.plays or screen.latches) and control is not None:
                self._app.model.latch.press(source, control)
            return
        if target in HOLDS:
            self._holding[source] = target
        self._app.command(target, True)

    def _up(self, token: str, held: set[str]) -> None:
        source = token if held is self._keys else f"pad:{token}"
        was_down = token in held
        held.discard(token)
        self._app.model.latch.release(source)
        if self._moving is not None and self._moving[0] == source:
            self._moving = None
        if source in self._holding:
            self._app.command(self._holding.pop(source), False)
        screen = self._app.screen
        if screen.listener is not None:
            screen.listener("keys" if held is self._keys else "pad", None)
        elif was_down and not screen.plays and (source == "pad:a" or token in ("return", "enter", "space", "keypad enter")):
            screen.release()

    def _move(self, source: str, direction: str) -> None:
        self._moving = (source, direction, time.perf_counter() + REPEAT_AFTER)
        self._app.screen.navigate(direction)

    def _add_pad(self, index: int) -> None:
        with suppress(pygame.error):
            if controller.is_controller(index):
                pad = controller.Controller(index)
                instance = pad.as_joystick().get_instance_id()
                self._mapped.add(instance)
                self._pads[instance] = pad
            else:
                stick = pygame.joystick.Joystick(index)
                self._pads[stick.get_instance_id()] = stick
