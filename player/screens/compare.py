"""Compare: the real game and its world under the same keys, the PSNR of every frame, the first one that differs."""

from __future__ import annotations

import pygame

from genie.errors import GenieError
from genie.sessions.session import Session
from genie.world import World
from player import opening
from player import theme as look
from player.app import App
from player.model_thread import Shown
from player.picture_files import surface_of
from player.real_game import DIVERGED, RealGame
from player.screen import Screen
from player.screens.play import act

STRIP = 110  # pixels high
TOP = 50.0  # dB at the upper edge of the strip
FORWARD = ("fast", "step", "mode", "hand over", "record", "save", "slot", "bookmark")  # commands that keep both together


class Compare(Screen):
    """Keys act in both; while it is paused they choose. Time runs forward only: the real game cannot be rewound."""

    title = "Compare with the real game"
    plays = True

    def __init__(self, app: App, world: World) -> None:
        super().__init__(app)
        self._world = world
        self._seed = 0
        self._failure = ""
        self.game: RealGame | None = None
        self._state: tuple[object, ...] = ()

    def rebuild(self) -> None:
        self.app.dirty = True

    def enter(self) -> None:
        if self.game is None:
            self._begin()

    def leave(self) -> None:
        self.app.model.cancel("open")
        self.app.model.pause(True)
        self.app.model.companion = None

    def _begin(self) -> None:
        self.app.model.pause(True)
        self.plays, self._failure = True, ""
        self.app.work(self._start, self._started, "open", self._failed)

    def _start(self) -> RealGame:
        """The game, and a session of the world from the game's first frames (model thread)."""
        game = RealGame(self._world, self._seed)
        journal = self.app.shelf.new_journal(self._world.name)
        self.app.model.play(Session.start(self._world, game.prompt, self._seed, journal=journal), game)
        return game

    def _started(self, game: RealGame) -> None:
        self.game = game
        self.app.apply_settings()
        self.app.model.pause(self.app.away)

    def _failed(self, error: Exception) -> None:
        self.game, self.plays, self.latches = None, False, False
        self._failure = str(error) if isinstance(error, GenieError) else f"{type(error).__name__}: {error}"
        self.app.log.append(self._failure)
        self.app.dirty = True

    def tick(self) -> None:
        paused = self.app.model.paused
        if self.game is not None:
            self.plays, self.latches = not paused, paused
        state = (self.app.model.newest, paused)
        if state != self._state:
            self._state = state
            self.app.dirty = True

    def command(self, name: str, down: bool) -> bool:
        if name == "pause" and down:
            if self.game is None:
                self.back()
            else:
                self.app.model.pause(not self.app.model.paused)
        elif name == "reset" and down:
            self._seed += 1
            self._begin()
        elif name in FORWARD:
            act(self.app, name, down)
            if name == "step" or (name == "fast" and down):
                return True
        elif name in ("rewind", "back", "undo", "load", "edit", "branches", "lab", "re-roll"):
            if down:
                self.app.say("The real game only runs forward.")
        else:
            return False
        return True

    def press(self) -> None:
        if self.game is not None:
            self.app.model.pause(False)

    def back(self) -> None:
        if self.game is None or self.app.model.paused:
            opening.open_home(self.app)
        else:
            self.app.model.pause(True)

    def mouse(self, event: pygame.event.Event) -> None:
        if event.type == pygame.MOUSEBUTTONDOWN and event.button == 1 and self.game is not None:
            self.app.model.pause(not self.app.model.paused)

    def hints(self) -> str:
        keys = self.app.keys
        if self.game is None:
            return f"{keys.label('pause')}: back"
        if self.app.model.paused:
            return f"Enter or A: go on   Esc or B: leave   {keys.label('reset')}: another level   {keys.label('step')}: one frame"
        return f"{keys.label('pause')}: pause   {keys.label('reset')}: another level   keys act in both   click: pause, go on"

    def draw(self, surface: pygame.Surface) -> None:
        super().draw(surface)
        theme, body = self.app.theme, self.body
        shown = self.app.model.newest
        if self.game is None or shown is None:
            text = self._failure or "starting the real game …"
            for number, line in enumerate(theme.wrap(text, body.width)):
                surface.blit(theme.text(line), (body.x, body.y + 20 + number * theme.font().get_linesize()))
            return
        label = theme.font().get_linesize() + 6
        told = theme.wrap(self._told(shown), body.width)
        height, width = shown.frame.shape[:2]
        high = min(STRIP, body.height // 4)
        scale = max(1, min((body.width - 20) // 2 // width, (body.height - high - (1 + len(told)) * label - 20) // height))
        self._draw_pair(surface, body, shown, scale, label)
        below = body.y + label + height * scale + 8
        for number, line in enumerate(told):
            surface.blit(theme.text(line), (body.x, below + number * label))
        self._draw_strip(surface, pygame.Rect(body.x, below + len(told) * label + 4, body.width, high), self.game)

    def _draw_pair(self, surface: pygame.Surface, body: pygame.Rect, shown: Shown, scale: int, label: int) -> None:
        assert self.game is not None
        theme = self.app.theme
        height, width = (side * scale for side in shown.frame.shape[:2])
        left = body.centerx - width - 10
        for x, title, frame in (
            (left, "the real game", self.game.frame),
            (body.centerx + 10, f"{self._world.name}, the world", shown.frame),
        ):
            text = theme.fitted(title, body.width // 2 - 10, 20, look.DIM)
            surface.blit(text, (min(x, x + width - text.get_width()) if x == left else x, body.y))
            surface.blit(pygame.transform.scale(surface_of(frame), (width, height)), (x, body.y + label))

    def _told(self, shown: Shown) -> str:
        """The figures of the newest frame."""
        assert self.game is not None
        state = "paused" if self.app.model.paused else f"{self.app.model.figures.rate:.0f} frames/s"
        told = f"frame {len(self.game.psnr)}   action {shown.action or '–'}   {state}"
        if self.game.psnr:
            told += f"   PSNR {self.game.psnr[-1]:.1f} dB"
        told += f"   first under {DIVERGED:g} dB: {self.game.diverged or 'none yet'}"
        return told + ("   the real episode is over" if self.game.ended else "")

    def _draw_strip(self, surface: pygame.Surface, box: pygame.Rect, game: RealGame) -> None:
        """The newest frames' PSNR as bars, the oldest to the left."""
        theme = self.app.theme
        pygame.draw.rect(surface, look.PANEL, box, border_radius=6)
        room = box.width - 16
        each = max(2, min(8, room // max(60, len(game.psnr))))
        fit = room // each
        first = max(0, len(game.psnr) - fit)
        for number, value in enumerate(game.psnr[first:], start=first):
            high = round(min(1.0, value / TOP) * (box.height - 10))
            x = box.x + 8 + (number - first) * each
            pygame.draw.rect(surface, theme.good if value >= DIVERGED else theme.bad, (x, box.bottom - 5 - high, max(1, each - 1), high))
            if number + 1 == game.diverged:
                pygame.draw.line(surface, look.TEXT, (x, box.y + 4), (x, box.bottom - 4), 2)
        line = box.bottom - 5 - round(DIVERGED / TOP * (box.height - 10))
        pygame.draw.line(surface, look.DIM, (box.x + 4, line), (box.right - 4, line))
        mark = theme.text(f"{DIVERGED:g} dB", 16, look.DIM)
        surface.blit(mark, (box.right - mark.get_width() - 6, line - mark.get_height()))
