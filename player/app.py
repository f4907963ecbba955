"""The player's window: a stack of screens, one loop. The model runs in its own thread and is never waited for."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pygame

from genie.errors import GenieError
from genie.world import World
from player import settings as user
from player import theme as look
from player.jobs import Job
from player.model_thread import ModelThread, Shown
from player.router import Router
from player.screen import Screen
from player.shelf import Shelf
from player.theme import Theme

PLAYING_RATE, IDLE_RATE = 120, 30  # times a second the window looks for events
WINDOW = (1120, 800)
LEAST = (480, 360)
TOAST = 5.0  # seconds


class App:
    """Opens the window and owns what the screens share.

    Raises:
        GenieError: no window could be opened.
    """

    def __init__(self, scale: int | None = None, runtime: tuple[str, str] = ("auto", "auto")) -> None:
        self.settings, warning = user.load()
        self.surface: pygame.Surface
        self.scale = scale  # of this run, instead of the settings'
        self.runtime = runtime  # device and back end of worlds to come
        try:
            for part in (pygame.display, pygame.font, pygame.joystick):  # no mixer: there is no sound
                part.init()
            self._open_window(_fitting(WINDOW))
        except pygame.error as error:
            pygame.quit()
            raise GenieError(f"no window could be opened ({error}); play without one: genie play --headless") from error
        pygame.display.set_caption("genie")
        look.forget_fonts()
        self.shelf = Shelf()
        self.model = ModelThread(self.shelf.keep)
        self.router = Router(self)
        self.log: deque[str] = deque(maxlen=200)  # what the user was told, for a report
        self.worlds: dict[str, World] = {}  # those that are open
        self.memory: dict[str, Any] = {}  # what screens want to find again
        self.dirty = True
        self.away = False  # another window is in front
        self.apply_settings()
        self._stack: list[Screen] = []
        self._left = 0  # screens, from the top, that were left because the window closes
        self._toasts: list[tuple[str, float]] = []
        self._presented: Shown | None = None
        self._error: BaseException | None = None
        self._leaving = self._interrupted = False
        if warning:
            self.say(warning)
        self.model.start()

    # The loop.

    def run(self, max_seconds: float | None = None) -> None:
        """Until the user leaves, or `max_seconds`.

        Raises:
            KeyboardInterrupt: it was left with Ctrl+C in the terminal; the session is kept all the same.
        """
        began = time.perf_counter()
        listens = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not where a shell has it ignored
        if listens:
            signal.signal(signal.SIGINT, self._interrupt)  # an exception could be lost wherever Python cannot raise one
        try:
            while not self._leaving:
                self.turn()
                if max_seconds is not None and time.perf_counter() - began > max_seconds:
                    break
                busy = not self.model.paused or self.model.rewinding or self.dirty
                time.sleep(1.0 / (PLAYING_RATE if busy else IDLE_RATE))
        finally:
            self.close()
            if listens:
                signal.signal(signal.SIGINT, signal.default_int_handler)
        if self._interrupted:
            raise KeyboardInterrupt

    def turn(self) -> None:
        """Once around: events, finished work, a new picture where something changed."""
        for event in pygame.event.get():
            if event.type == pygame.QUIT:
                self._leaving = True
            elif event.type in (pygame.VIDEORESIZE, pygame.WINDOWSIZECHANGED, pygame.WINDOWEXPOSED):
                self.surface = pygame.display.get_surface() or self.surface
                self.rebuild()
            else:
                if event.type not in (pygame.MOUSEMOTION, pygame.JOYAXISMOTION, pygame.CONTROLLERAXISMOTION):
                    self.dirty = True
                if event.type == pygame.WINDOWFOCUSGAINED:
                    self.away = False
                with self._telling():
                    self.router.handle(event)
        with self._telling():
            self.router.tick()
        for job in self.model.finish_jobs():
            self.dirty = True
            if job.error is not None and job.on_error is None:
                self.failed(job.error)
        while self.model.notes:
            self.say(self.model.notes.popleft())
        if self.model.error is not None and self.model.error is not self._error:
            self._error = self.model.error
            self.failed(self._error, "The world stopped: ")
        now = time.perf_counter()
        if any(until <= now for _, until in self._toasts):
            self._toasts = [toast for toast in self._toasts if toast[1] > now]
            self.dirty = True
        with self._telling():
            self.screen.tick()
        if self.dirty:
            self.dirty = False
            with self._telling():
                self.draw()

    def close(self) -> None:
        """End the model thread (it keeps the session) and the window."""
        while self._left < len(self._stack):  # what a screen has begun is given up
            self._left += 1
            self._stack[-self._left].leave()
        self.model.close()
        while self.model.notes:  # no window shows them any more
            print(self.model.notes.popleft(), file=sys.stderr)
        if self.settings.last_session != self.shelf.last:
            self.settings.last_session = self.shelf.last or self.settings.last_session
            self.save_settings()
        self.router.close()
        pygame.quit()

    def leave(self) -> None:
        """End the loop."""
        self._leaving = True

    def _interrupt(self, *_: object) -> None:
        """Ctrl+C in the terminal: leave; once more: at once."""
        self._leaving = self._interrupted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    # Screens.

    @property
    def screen(self) -> Screen:
        """The one that the user is in."""
        return self._stack[-1]

    def below(self, screen: Screen) -> Screen:
        """The one that a screen lies over."""
        return self._stack[self._stack.index(screen) - 1]

    def push(self, screen: Screen) -> None:
        """Go into a screen."""
        if self._stack and not screen.latches:
            self.router.let_go()
        self._stack.append(screen)
        self._enter()

    def pop(self) -> None:
        """Go back; the last screen stays."""
        if len(self._stack) > 1:
            if not self.screen.latches:
                self.router.let_go()
            self._stack.pop().leave()
            self._enter()

    def reset_to(self, *screens: Screen) -> None:
        """Leave all screens for others."""
        self.router.let_go()
        for screen in reversed(self._stack):
            screen.leave()
        self._stack = []
        for screen in screens:
            self.push(screen)

    def inside(self, kind: type[Screen]) -> bool:
        """Whether a screen of this kind is on the stack."""
        return any(isinstance(screen, kind) for screen in self._stack)

    def draw(self) -> None:
        """The screen, what shows through below an overlay, messages."""
        first = max(number for number, screen in enumerate(self._stack) if not screen.overlay or number == 0)
        shown = self.model.newest
        for screen in self._stack[first:]:
            screen.draw(self.surface)
        self._draw_toasts()
        pygame.display.flip()
        if shown is not None and shown is not self._presented:
            self._presented = shown
            if shown.since is not None:
                self.model.figures.key_to_screen.append(time.perf_counter() - shown.since)

    def picture(self) -> np.ndarray:
        """What the window shows, uint8 [H, W, 3]."""
        return np.ascontiguousarray(np.swapaxes(pygame.surfarray.array3d(self.surface), 0, 1))

    # What screens ask for.

    def work(
        self,
        work: Callable[[], Any],
        on_done: Callable[[Any], object] | None = None,
        key: str = "",
        on_error: Callable[[Exception], object] | None = None,
        exclusive: bool = False,
    ) -> Job:
        """Have something done in the model thread; the callbacks come in this one."""
        return self.model.submit(Job(work, key, on_done, on_error, exclusive))

    def say(self, text: str) -> None:
        """Tell the user something."""
        self.log.append(f"{time.strftime('%H:%M:%S')} {text}")
        self._toasts = [*self._toasts, (text, time.perf_counter() + TOAST)][-3:]
        self.dirty = True

    def failed(self, error: BaseException, before: str = "") -> None:
        """Tell the user of an error, once as long as it stands there; the report keeps where it came from."""
        says = f"{before}{error}" if isinstance(error, GenieError | OSError) else f"{before}{type(error).__name__}: {error}"
        if any(text == says for text, _ in self._toasts):
            return
        self.say(says)
        self.log.extend(traceback.format_exception(error)[-6:])

    def command(self, name: str, down: bool) -> None:
        """A command of the player, to the screen first."""
        self.dirty = True
        if self._stack and self.screen.command(name, down):
            return
        if not down:
            return
        if name == "full screen":
            self.full_screen(not self.settings.full_screen)
        elif name == "screenshot":
            self.say(f"Screenshot: {self.shelf.save_picture(self.picture())}")
        elif name == "help":
            from player.screens.help import Help

            if not self.inside(Help):
                self.push(Help(self))
        elif name == "hud":
            self.settings.hud = not self.settings.hud
            self.save_settings()
            self.rebuild()

    def dropped(self, path: str) -> None:
        """A file was dropped on the window."""
        if not self.screen.dropped(path):
            from player.opening import open_path

            open_path(self, Path(path))

    def lost_focus(self) -> None:
        """Another window is in front: time stands still, also in a world that is being opened."""
        self.away = True
        if self.model.session is not None:
            self.model.pause(True)
        self.dirty = True

    def apply_settings(self) -> None:
        """Letters, keys and pace as the settings say."""
        self.theme = Theme(self.settings.font / 100, self.settings.safe_colours)
        name = self.model.world.name if self.model.world is not None else ""
        self.keys = self.settings.bindings("keys", name)
        self.pad = self.settings.bindings("pad", name)
        self.model.speed, self.model.mode = self.settings.speed, self.settings.mode
        self.model.nudge()
        self.dirty = True

    def save_settings(self) -> None:
        """Keep them; tell the user if that fails."""
        warning = user.save(self.settings)
        if warning:
            self.say(warning)

    def full_screen(self, on: bool) -> None:
        """Fill the desktop, or go back to a window."""
        self.settings.full_screen = on
        self.save_settings()
        try:
            self._open_window(_fitting(WINDOW))
        except pygame.error as error:
            self.say(f"The window could not be changed ({error}).")
        self.rebuild()

    def rebuild(self) -> None:
        """All screens anew: something that they show has changed."""
        self.dirty = True
        for screen in self._stack:
            with self._telling():
                screen.rebuild()

    def _enter(self) -> None:
        """The top screen anew."""
        screen = self.screen
        with self._telling():
            screen.rebuild()
        screen.enter()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """What cannot be done is told to the user, and the loop goes on."""
        try:
            yield
        except (GenieError, OSError) as error:
            self.failed(error)

    def _open_window(self, size: tuple[int, int]) -> None:
        full = self.settings.full_screen
        self.surface = pygame.display.set_mode((0, 0) if full else size, pygame.FULLSCREEN if full else pygame.RESIZABLE)

    def _draw_toasts(self) -> None:
        theme = self.theme
        high = theme.font().get_linesize()
        cards = [theme.wrap(text, min(self.surface.get_width() - 80, 900), 20) for text, _ in self._toasts]
        for box, lines in zip(self._toast_boxes(cards, high), cards, strict=True):
            pygame.draw.rect(self.surface, look.RAISED, box, border_radius=8)
            pygame.draw.rect(self.surface, look.ACCENT, box, 2, border_radius=8)
            for number, line in enumerate(lines):
                self.surface.blit(theme.text(line), (box.x + 14, box.y + 8 + number * high))

    def _toast_boxes(self, cards: list[list[str]], high: int) -> list[pygame.Rect]:
        """Where messages stand, the newest lowest: above the hints, or below the title where they would hide what is focused."""
        if not cards:
            return []
        width, height = self.surface.get_size()
        boxes, y = [], 0
        for lines in cards:
            wide = max(self.theme.font().size(line)[0] for line in lines) + 28
            boxes.append(pygame.Rect((width - wide) // 2, y, wide, len(lines) * high + 16))
            y = boxes[-1].bottom + 8
        low, top = ([box.move(0, offset) for box in boxes] for offset in (height - 70 - boxes[-1].bottom, self.screen.body.y))
        focused = self.screen.focused_rect
        hides = focused is not None and focused.collidelist(low) >= 0
        return top if hides and focused is not None and focused.collidelist(top) < 0 else low


def _fitting(size: tuple[int, int]) -> tuple[int, int]:
    """A window size that leaves room on the desktop."""
    desktop = (pygame.display.get_desktop_sizes() or [(1280, 900)])[0]
    return max(LEAST[0], min(size[0], int(desktop[0] * 0.95))), max(LEAST[1], min(size[1], int(desktop[1] * 0.9)))


def display_available() -> bool:
    """Whether a window can be opened here: a desktop, or SDL's own dummy driver when asked for."""
    try:
        pygame.display.init()
    except pygame.error:
        return False
    found = pygame.display.get_driver() not in ("offscreen", "dummy") or bool(os.environ.get("SDL_VIDEODRIVER"))
    pygame.display.quit()
    return found
