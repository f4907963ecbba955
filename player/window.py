"""The play window: SDL events in, the newest frame out. The model runs in its own thread and is never waited for."""

from __future__ import annotations

import os
from collections.abc import Callable

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import numpy as np
import pygame

from genie.errors import GenieError
from genie.runtime.rollout import Rollout
from genie.world import World
from player.hud import Hud
from player.keymap import control_of, control_of_button
from player.latch import InputLatch
from player.model_thread import ModelThread

WINDOW_RATE = 60  # times a second the window looks for events and a new frame
PAUSED_RATE = 10
STICK_DEAD_ZONE = 0.5
DEFAULT_SCALE = 10


class PlayWindow:
    """Opens a world in a window and plays it until the user leaves."""

    def __init__(self, world: World, start: Callable[[], Rollout], scale: int | None = None, rate: float | None = None) -> None:
        try:
            for part in (pygame.display, pygame.font, pygame.joystick):  # no mixer: there is no sound
                part.init()
            self.scale = scale or _scale_for(world.resolution)
            height, width = (side * self.scale for side in world.resolution)
            self._view = (width, height)
            self._hud = Hud(max(width, 480), rate or world.frame_rate)
            self._screen = pygame.display.set_mode((max(width, 480), height + self._hud.height))
        except pygame.error as error:
            pygame.quit()
            raise GenieError(f"no window could be opened ({error}); play without one: genie play {world.name} --headless") from error
        pygame.display.set_caption(f"genie – {world.name}")
        self._controls = frozenset(key for action in world.actions for key in action.keys)
        self._latch = InputLatch()
        self._pads = [pygame.joystick.Joystick(i) for i in range(pygame.joystick.get_count())]
        self.model = ModelThread(world, start, self._latch, rate or world.frame_rate)
        self._open = True

    def run(self, max_seconds: float | None = None) -> None:
        """Play until Esc, the window's close button, or `max_seconds`.

        Raises:
            GenieError: the model thread failed; its error is the cause.
        """
        clock = pygame.time.Clock()
        began = pygame.time.get_ticks()
        self.model.start()
        try:
            while self._open:
                for event in pygame.event.get():
                    self.handle(event)
                if self.model.error is not None:
                    raise GenieError(f"the world stopped: {self.model.error}") from self.model.error
                self.draw()
                if max_seconds is not None and pygame.time.get_ticks() - began > max_seconds * 1000:
                    return
                clock.tick(PAUSED_RATE if self.model.paused else WINDOW_RATE)
        finally:
            self.model.close()
            pygame.quit()

    def handle(self, event: pygame.event.Event) -> None:
        """One SDL event."""
        if event.type == pygame.QUIT:
            self._open = False
        elif event.type == pygame.KEYDOWN:
            self._key_down(event.key)
        elif event.type == pygame.KEYUP:
            self._latch.release(("key", event.key))
        elif event.type == pygame.WINDOWFOCUSLOST:
            self._latch.clear()
            self.model.pause(True)
        elif event.type == pygame.JOYDEVICEADDED:
            self._pads.append(pygame.joystick.Joystick(event.device_index))  # events come only from pads that are held open
        elif event.type == pygame.JOYBUTTONDOWN:
            control = control_of_button(event.button, self._controls)
            if control:
                self._latch.press(("button", event.button), control)
        elif event.type == pygame.JOYBUTTONUP:
            self._latch.release(("button", event.button))
        elif event.type == pygame.JOYAXISMOTION and event.axis == 0:
            self._side("stick", event.value)
        elif event.type == pygame.JOYHATMOTION:
            self._side("hat", event.value[0])

    def draw(self) -> None:
        """Show the newest frame, enlarged by a whole number, and the HUD."""
        shown = self.model.newest
        picture = pygame.surfarray.make_surface(np.swapaxes(shown.frame, 0, 1))
        self._screen.fill((0, 0, 0))
        left = (self._screen.get_width() - self._view[0]) // 2
        self._screen.blit(pygame.transform.scale(picture, self._view), (left, 0))
        self._screen.blit(self._hud.draw(self.model, shown), (0, self._view[1]))
        pygame.display.flip()

    def screenshot(self) -> np.ndarray:
        """What the window shows, uint8 [H, W, 3]."""
        return np.swapaxes(pygame.surfarray.array3d(self._screen), 0, 1)

    def _key_down(self, key: int) -> None:
        control = control_of(key, self._controls)
        if control:
            self._latch.press(("key", key), control)
        elif key == pygame.K_ESCAPE:
            self._open = False
        elif key == pygame.K_p:
            self.model.pause(not self.model.paused)
        elif key == pygame.K_r:
            self.model.reset()

    def _side(self, source: str, value: float) -> None:
        """A stick or hat moved sideways."""
        for control, pushed in (("left", value < -STICK_DEAD_ZONE), ("right", value > STICK_DEAD_ZONE)):
            if pushed and control in self._controls:
                self._latch.press((source, control), control)
            else:
                self._latch.release((source, control))


def _scale_for(resolution: tuple[int, int]) -> int:
    """The largest whole scale that leaves room on the desktop, at most the default."""
    sizes = pygame.display.get_desktop_sizes() or [(1280, 720)]
    room = min(int(sizes[0][0] * 0.9) // resolution[1], int(sizes[0][1] * 0.8) // resolution[0])
    return max(1, min(DEFAULT_SCALE, room))


def display_available() -> bool:
    """Whether a window can be opened here: a desktop, or SDL's own dummy driver when asked for."""
    try:
        pygame.display.init()
    except pygame.error:
        return False
    found = pygame.display.get_driver() not in ("offscreen", "dummy") or bool(os.environ.get("SDL_VIDEODRIVER"))
    pygame.display.quit()
    return found
