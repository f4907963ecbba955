"""Play: the picture as large as whole pixels allow, the figures beside it, the film strip below."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import pygame

from player import opening
from player import theme as look
from player.app import App
from player.drift import DriftMeter
from player.drivers import DRIVERS
from player.hud import Hud, panel_width
from player.model_thread import Shown
from player.picture_files import surface_of, thumb_width, thumbnail
from player.screen import Screen
from player.settings import MODES
from player.widgets import Button, Choice, Flow

THUMB = 56  # pixels high, in the film strip
CALM = 0.25  # seconds between two pictures of fast play, with reduced flashing


class Play(Screen):
    """Keys act here; nothing is focused."""

    title = "Play"
    plays = True

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self._shown: Shown | None = None
        self._offered = False
        self._hud: Hud | None = None
        self._thumbs: list[tuple[pygame.Rect, int]] = []
        self._state: tuple[object, ...] = ()
        self._drawn = 0.0
        self.view = pygame.Rect(0, 0, 0, 0)  # where the world's picture stands

    def rebuild(self) -> None:
        world, facts = self.app.model.world, self.app.model.facts
        if world is not None and facts is not None:
            looks = [prompt.frames[-1] for prompt in world.prompts] + [facts.first]
            own = self.app.settings.worlds.get(world.name)
            mine = own.actions if own is not None else {}
            names = {action.name: mine[action.id].name for action in world.actions if action.id in mine and mine[action.id].name}
            self._hud = Hud(self.app.theme, self.app.model, DriftMeter(looks), names)
        self.app.dirty = True

    def enter(self) -> None:
        self.app.apply_settings()
        if self.app.model.error is not None:
            keys = self.app.keys
            self.app.say(
                f"This world has stopped. {keys.label('undo')} or {keys.label('load')} goes back and tries again; "
                "what was played is kept in the library when you leave."
            )
            self.app.model.pause(True)
        elif not self.app.memory.pop("stay paused", False):
            self.app.model.pause(False)

    def leave(self) -> None:
        self.app.model.pause(True)

    def tick(self) -> None:
        model = self.app.model
        state = (model.newest, model.paused, model.rewinding, model.hurry, model.take, model.driver, model.mode)
        calm = self.app.settings.reduced_flashing and (model.hurry or model.mode == "fast" or model.rewinding)
        if state != self._state and not (calm and time.perf_counter() - self._drawn < CALM):
            self._state, self._drawn = state, time.perf_counter()
            self.app.dirty = True
        if model.slow and not self._offered:
            self._offered = True
            self.app.say(
                f"This machine makes {model.figures.rate:.1f} of {model.target:g} frames a second. {self.app.keys.label('mode')} twice "
                f"(pad: {self.app.pad.label('mode')} twice) changes to turn-based play: one key, one frame."
            )
        if model.paused and not model.rewinding and self.app.screen is self:
            self.app.push(Pause(self.app))

    def command(self, name: str, down: bool) -> bool:
        model = self.app.model
        if name == "pause":
            if down:
                model.pause(not model.paused)
            return True
        return act(self.app, name, down)

    def back(self) -> None:
        self.app.model.pause(True)

    def mouse(self, event: pygame.event.Event) -> None:
        if event.type == pygame.MOUSEBUTTONDOWN and event.button == 1:
            for box, index in self._thumbs:
                if box.collidepoint(event.pos):
                    self.app.model.pause(True)
                    self.app.work(partial(self.app.model.look, index), key="look")

    def draw(self, surface: pygame.Surface) -> None:
        surface.fill(look.BACKGROUND)
        shown = self.app.model.newest
        if shown is None:
            return
        theme = self.app.theme
        room = surface.get_rect().inflate(-16, -16)
        strip = pygame.Rect(room.x, 0, room.width, THUMB + theme.font(16).get_linesize() + 10)
        strip.bottom = room.bottom
        room.height -= strip.height + 8
        paused = self.app.inside(Pause)
        if self.app.settings.hud or paused:
            panel = pygame.Rect(0, room.y, panel_width(theme, surface.get_width()), room.height)
            panel.right = room.right
            if paused:
                strip.width -= panel.width + 10
            elif self._hud is not None:
                self._hud.draw(surface, panel, shown)
            room.width -= panel.width + 10
        self._draw_view(surface, room, shown)
        self._draw_strip(surface, strip, shown)

    def _draw_view(self, surface: pygame.Surface, room: pygame.Rect, shown: Shown) -> None:
        picture = shown.frame if shown.around is None else _with_unseen(shown.around)
        height, width = picture.shape[:2]
        largest = max(1, min(room.width // width, room.height // height))
        wanted = self.app.scale or self.app.settings.scale or largest
        scale = min(wanted, largest)
        view = pygame.Rect(0, 0, width * scale, height * scale)
        view.center = room.center
        self.view = view
        surface.blit(pygame.transform.scale(surface_of(picture), view.size), view)
        if shown.around is not None:
            inner = pygame.Rect(0, 0, shown.frame.shape[1] * scale, shown.frame.shape[0] * scale)
            inner.center = view.center
            pygame.draw.rect(surface, look.ACCENT, inner.inflate(2, 2), 1)
        model, theme = self.app.model, self.app.theme
        if model.rewinding or model.hurry:
            badge = theme.text("« rewind" if model.rewinding else "fast »", 24, look.BACKGROUND)
            box = badge.get_rect(topleft=(view.x + 8, view.y + 8)).inflate(14, 8)
            pygame.draw.rect(surface, theme.bad, box, border_radius=5)
            surface.blit(badge, badge.get_rect(center=box.center))
        if model.take is not None and not self.app.settings.hud:
            pygame.draw.circle(surface, theme.bad, (view.right - 18, view.y + 18), 9)

    def _draw_strip(self, surface: pygame.Surface, area: pygame.Rect, shown: Shown) -> None:
        theme, model = self.app.theme, self.app.model
        bar = pygame.Rect(area.x, area.y, area.width, 4)
        pygame.draw.rect(surface, look.LINE, bar, border_radius=2)
        bar.width = round(bar.width * min(1.0, shown.index / max(1, model.tip)))
        pygame.draw.rect(surface, look.ACCENT, bar, border_radius=2)
        self._thumbs = []
        wide = thumb_width(shown.frame, THUMB)
        places = max(1, area.width // (wide + 8))
        for number, (index, frame) in enumerate(model.strip[-places:]):
            box = pygame.Rect(area.x + number * (wide + 8), area.y + 10, wide, THUMB)
            surface.blit(thumbnail(frame, THUMB), box)
            surface.blit(theme.text(str(index), 16, look.DIM), (box.x, box.bottom + 1))
            self._thumbs.append((box, index))
        left = area.x + len(self._thumbs) * (wide + 8) + 8
        keys = self.app.keys
        tip = f"{keys.label('pause')}: pause and menu   {keys.label('help')}: help"
        if area.right - left > 100 and not self.app.inside(Pause):
            text = theme.fitted(tip, area.right - left, 18, look.DIM)
            surface.blit(text, (area.right - text.get_width(), area.bottom - text.get_height() - 4))


def _with_unseen(around: np.ndarray) -> np.ndarray:
    """What is remembered around a frame, uint8 [H, W, 4], with what was never in view hatched: uint8 [H, W, 3]."""
    diagonal = np.indices(around.shape[:2]).sum(axis=0)
    hatch = np.array([look.PANEL, look.BACKGROUND], np.uint8)[diagonal // 4 % 2]
    return np.where(around[..., 3:] > 0, around[..., :3], hatch)


class Pause(Screen):
    """Over the picture while time stands still: every way on. Keys that are not used for choosing still count for single steps."""

    title = "Paused"
    overlay = True
    latches = True

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self._state: tuple[object, ...] = ()
        self._choices: tuple[object, ...] = ()

    def enter(self) -> None:
        self.app.model.pause(True)

    @property
    def body(self) -> pygame.Rect:
        wide, high = self.app.surface.get_size()
        width = panel_width(self.app.theme, wide)
        top = self.app.theme.font(30).get_linesize() + 22
        foot = 5 * self.app.theme.font(18).get_linesize() + 20
        return pygame.Rect(wide - width - 4, top, width - 8, max(1, high - top - foot))

    def build(self, flow: Flow) -> None:
        app = self.app
        room = flow.area.width
        if app.model.watched:
            hint = "A new session of the installed world begins with these frames."
            flow.add(Button("play on", "Play on from here", lambda: opening.play_on(app), hint), width=room)
        for key, label, action, hint in (
            ("go on", "Go on", self.back, ""),
            ("branches", "Timeline and branches", lambda: opening.open_timeline(app), "Rows of the session's tree."),
            ("edit", "Edit this frame", lambda: opening.open_edit(app), "Paint on it and go on from there."),
            ("lab", "Action lab", lambda: opening.open_lab(app), "What each latent action does from here."),
            ("studio", "Prompt studio", lambda: opening.open_studio(app), "Another first frame."),
            ("bookmark", "Bookmark", lambda: act(app, "bookmark", True), ""),
            ("save", f"Save to slot {app.shelf.slot}", lambda: act(app, "save", True), ""),
            ("load", f"Load slot {app.shelf.slot}", lambda: act(app, "load", True), ""),
            ("re-roll", "Re-roll", lambda: act(app, "re-roll", True), "The last second again with other dice."),
            ("reset", "Reset", lambda: act(app, "reset", True), "Back to the first frame; what was played stays a branch."),
        ):
            flow.add(Button(key, label, action, hint), width=room)
        model = app.model
        flow.add(Choice("mode", "Mode", MODES, MODES.index(model.mode), lambda index: set_mode(app, index)), width=room)
        flow.add(
            Choice(
                "driver",
                "Acts",
                DRIVERS,
                DRIVERS.index(model.driver),
                lambda index: hand_over(app, DRIVERS[index]),
            ),
            width=room,
        )
        flow.add(Button("settings", "Settings", lambda: opening.open_settings(app)), width=room)
        flow.add(Button("home", "Home", lambda: opening.open_home(app), "The session is kept."), width=room)
        flow.add(Button("leave", "Leave genie", app.leave, "The session is kept."), width=room)

    def tick(self) -> None:
        model = self.app.model
        state, choices = (model.newest, model.rewinding), (model.mode, model.driver, model.watched)
        if choices != self._choices:
            self._choices = choices
            self.rebuild()
        if state != self._state:
            self._state = state
            self.app.dirty = True
        if not model.paused:
            self.app.pop()

    def command(self, name: str, down: bool) -> bool:
        if name == "pause":
            if down:
                self.back()
            return True
        return act(self.app, name, down)

    def back(self) -> None:
        self.app.pop()

    def mouse(self, event: pygame.event.Event) -> None:
        if event.type == pygame.MOUSEWHEEL or event.pos[0] >= self.body.x - 12:
            super().mouse(event)
        else:
            self.app.below(self).mouse(event)

    def draw(self, surface: pygame.Surface) -> None:
        theme, body = self.app.theme, self.body
        pygame.draw.rect(surface, look.PANEL, pygame.Rect(body.x - 12, 0, surface.get_width(), surface.get_height()))
        self._draw_widgets(surface, body)
        surface.blit(theme.text(self.title, 30), (body.x, 14))
        keys = self.app.keys
        tips = f"{keys.label('step')} one frame on   {keys.label('back')} back   {keys.label('rewind')} rewind   {keys.label('undo')} undo"
        shown = self.app.model.newest
        where = f"Frame {shown.index} of {self.app.model.tip}, branch {shown.branch}   " if shown is not None else ""
        for number, line in enumerate(theme.wrap(where + tips, body.width, 18)[:5]):
            surface.blit(theme.text(line, 18, look.DIM), (body.x, body.bottom + 10 + number * theme.font(18).get_linesize()))


def set_mode(app: App, index: int) -> None:
    """Real time, fast or turn-based."""
    app.settings.mode = MODES[index]
    app.save_settings()
    app.apply_settings()
    app.say(
        {
            "real time": "Real time: the world's own rate.",
            "fast": "Fast: as many frames as this machine makes.",
            "turn-based": "Turn-based: one key, one frame.",
        }[MODES[index]]
    )


def hand_over(app: App, driver: str) -> None:
    """Another driver, without a reset."""
    app.work(
        lambda: app.model.hand_over(driver),
        lambda _: app.say(
            {"human": "You play.", "policy": "A policy plays.", "replay": "The take's actions are played again from here."}[driver]
            if not app.model.watched
            else "This session can only be watched."
        ),
    )


def act(app: App, name: str, down: bool) -> bool:
    """The commands of play, in every screen that shows the picture; True if it was one."""
    model = app.model
    if name == "rewind":
        model.rewind(down)
    elif name == "fast":
        model.hurry = down
        model.nudge()
    elif not down:
        return False
    elif name == "step":
        model.step()
    elif name == "back":
        model.pause(True)
        app.work(lambda: model.look(model.newest.index - 1) if model.newest else None)
    elif name == "mode":
        set_mode(app, (MODES.index(model.mode) + 1) % len(MODES))
    elif name == "around":
        app.work(model.look_around, lambda can: None if can else app.say("This world remembers nothing around its picture."))
    elif name == "hand over":
        hand_over(app, DRIVERS[(DRIVERS.index(model.driver) + 1) % len(DRIVERS)])
    elif name == "branches":
        opening.open_timeline(app)
    elif name == "edit":
        opening.open_edit(app)
    elif name == "lab":
        opening.open_lab(app)
    elif name in ("save", "load", "slot", "bookmark", "reset", "undo", "re-roll", "record"):
        from player.deeds import DEEDS

        DEEDS[name](app)
    else:
        return False
    return True
