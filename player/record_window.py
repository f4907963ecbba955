"""The recording window: a person plays the real game at its own rate, and every frame goes into the dataset."""

from __future__ import annotations

import os

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import numpy as np
import pygame

from genie.data.human import HumanRecording
from genie.errors import GenieError
from genie.runtime.actions import Action, ActionTable
from player.latch import InputLatch

KEYS = {
    "left": (pygame.K_LEFT, pygame.K_a),
    "right": (pygame.K_RIGHT, pygame.K_d),
    "up": (pygame.K_UP, pygame.K_w),
    "down": (pygame.K_DOWN, pygame.K_s),
    "jump": (pygame.K_SPACE, pygame.K_z),
}
PAUSED_RATE = 10  # looks for events a second
LINE = 20  # pixels high
MARGIN = 8
NARROWEST = 480
LARGEST = 640  # pixels of the picture's longer side
TEXT, DIM, RED, BACKGROUND = (235, 235, 235), (150, 150, 150), (230, 60, 60), (18, 18, 22)


class RecordWindow:
    """Plays until the recording is full, or until Esc."""

    def __init__(self, recording: HumanRecording) -> None:
        self._recording = recording
        game = recording.game
        actions = [Action(id=i, name=name, kind="recorded", keys=keys) for i, (name, keys) in enumerate(game.actions.items())]
        self._table = ActionTable(tuple(actions), next((action.id for action in actions if not action.keys), 0))
        controls = {key for action in actions for key in action.keys}
        self._controls = {key: control for control, keys in KEYS.items() if control in controls for key in keys}
        if "up" not in controls:
            self._controls |= {key: "jump" for key in KEYS["up"] if "jump" in controls}
        height, width = game.resolution
        scale = max(1, LARGEST // max(height, width))
        self._view = (width * scale, height * scale)
        try:
            pygame.display.init()
            pygame.font.init()
            self._screen = pygame.display.set_mode((max(self._view[0], NARROWEST), self._view[1] + 3 * LINE + 2 * MARGIN))
        except pygame.error as error:
            pygame.quit()
            raise GenieError(f"no window could be opened ({error}); leave out --human to let a policy play.") from error
        pygame.display.set_caption(f"genie – recording {game.name}")
        self._font = pygame.font.Font(None, LINE)
        self._latch = InputLatch()
        self._action = self._table.idle
        self._paused = True  # nobody is thrown into a running game
        self._open = True

    def run(self, max_seconds: float | None = None) -> None:
        """Play and record; the recording is left open."""
        clock = pygame.time.Clock()
        began = pygame.time.get_ticks()
        try:
            while self._open and not self._recording.full:
                for event in pygame.event.get():
                    self.handle(event)
                if not self._paused and self._open:
                    self._step()
                self.draw()
                if max_seconds is not None and pygame.time.get_ticks() - began > max_seconds * 1000:
                    return
                clock.tick(PAUSED_RATE if self._paused else self._recording.game.rate)
        finally:
            pygame.quit()

    def handle(self, event: pygame.event.Event) -> None:
        """One SDL event. Any key of the game begins or goes on."""
        if event.type == pygame.QUIT:
            self._open = False
        elif event.type == pygame.WINDOWFOCUSLOST:
            self._latch.clear()
            self._paused = True
        elif event.type == pygame.KEYUP:
            self._latch.release(str(event.key))
        elif event.type == pygame.KEYDOWN:
            if event.key == pygame.K_ESCAPE:
                self._open = False
            elif event.key == pygame.K_p:
                self._paused = not self._paused
            elif event.key in self._controls:
                self._latch.press(str(event.key), self._controls[event.key])
                self._paused = False

    def draw(self) -> None:
        """The game, enlarged by a whole number, and what is being recorded."""
        recording = self._recording
        picture = pygame.surfarray.make_surface(np.swapaxes(recording.frame, 0, 1))
        self._screen.fill(BACKGROUND)
        left = (self._screen.get_width() - self._view[0]) // 2
        self._screen.blit(pygame.transform.scale(picture, self._view), (left, 0))
        state = ("paused: press a key of the game", DIM) if self._paused else ("REC", RED)
        wanted = sum(recording.wanted.values())
        lines = (
            state,
            (f"{recording.frames:,} of {wanted:,} frames · this episode {recording.episode_frames:,} · {self._action.name}", TEXT),
            ("arrows/WASD move · Space acts · P pause · Esc stop (what is recorded is kept)", DIM),
        )
        for number, (text, colour) in enumerate(lines):
            self._screen.blit(self._font.render(text, True, colour), (MARGIN, self._view[1] + MARGIN + number * LINE))
        pygame.display.flip()

    def screenshot(self) -> np.ndarray:
        """What the window shows, uint8 [H, W, 3]."""
        return np.swapaxes(pygame.surfarray.array3d(self._screen), 0, 1)

    def _step(self) -> None:
        # An action lasts one frame of the world, so that a clip at that skip knows it.
        if self._recording.episode_frames % self._recording.game.skip == 0:
            self._action = self._table.for_keys(self._latch.read().controls)
        if self._recording.step(self._action.id):
            self._latch.forget_taps()
