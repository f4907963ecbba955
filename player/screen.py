"""A screen: widgets, one of them focused, a scrolled content between a title and a line of hints."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pygame

from player import theme as look
from player.widgets import Flow, Widget

if TYPE_CHECKING:
    from player.app import App

GAP = "   "  # between two hints
LONGEST_HINT = 75  # letters of an average width
WHEEL = 60  # pixels a notch


class Screen:
    """Base of all screens. Subclasses fill in `build`; the app calls the rest."""

    title = ""
    plays = False  # keys act in the world instead of moving the focus
    latches = False  # keys that choose nothing here are held for the world's next single step
    overlay = False  # the screen below shows through

    def __init__(self, app: App) -> None:
        self.app = app
        self.widgets: list[Widget] = []
        self.focus = ""
        self.scroll = 0
        self._bottom = 0
        self.listener: Callable[[str, frozenset[str] | None], None] | None = None  # takes every key and button: (device, tokens down)
        self._grabbed: Widget | None = None  # by the mouse

    def build(self, flow: Flow) -> None:
        """Add the screen's widgets; called again whenever something changed."""

    def enter(self) -> None:
        """It has become the top screen."""

    def leave(self) -> None:
        """It is no longer the top screen."""

    def tick(self) -> None:
        """Called some sixty times a second; `app.dirty = True` asks for a new picture."""

    def command(self, name: str, down: bool) -> bool:
        """A command of the player; True if it was used."""
        return False

    def back(self) -> None:
        """Esc or B."""
        self.app.pop()

    def dropped(self, path: str) -> bool:
        """A file was dropped on the window; True if it was used."""
        return False

    @property
    def body(self) -> pygame.Rect:
        """Where the content is shown."""
        width, height = self.app.surface.get_size()
        top, foot = self._bars()
        return pygame.Rect(16, top, max(1, width - 32), max(1, height - top - foot))

    def rebuild(self) -> None:
        """Make the widgets anew; each takes over the state of the one that had its key."""
        before = {widget.key: widget for widget in self.widgets if widget.key}
        flow = Flow(pygame.Rect(0, 0, self.body.width - 10, self.body.height), self.app.theme)
        self.build(flow)
        self.widgets, self._bottom = flow.widgets, flow.bottom
        for widget in self.widgets:
            old = before.get(widget.key)
            if old is not None and old is not widget and type(old) is type(widget):
                widget.adopt(old)
                if old is self._grabbed:
                    self._grabbed = widget
        if self.focused is None:
            self.focus = next((widget.key for widget in self.widgets if widget.focusable and widget.enabled), "")
        self._scroll_to(self.scroll)
        self.app.dirty = True

    @property
    def focused(self) -> Widget | None:
        """The widget that keys go to."""
        return next((widget for widget in self.widgets if widget.focusable and widget.key == self.focus), None)

    @property
    def focused_rect(self) -> pygame.Rect | None:
        """Where the focused widget is drawn in the window."""
        widget = self.focused
        return None if widget is None else widget.rect.move(self.body.x, self.body.y - self.scroll)

    @property
    def captured(self) -> Widget | None:
        """The widget that takes every key, if there is one."""
        return next((widget for widget in self.widgets if widget.captured), None)

    def find(self, key: str) -> Widget:
        """A widget by its key."""
        return next(widget for widget in self.widgets if widget.key == key)

    def set_focus(self, key: str) -> None:
        """Focus a widget and bring it into view."""
        self.focus = key
        widget = self.focused
        if widget is not None:
            if widget.rect.top < self.scroll:
                self._scroll_to(widget.rect.top - 40)
            elif widget.rect.bottom > self.scroll + self.body.height:
                self._scroll_to(widget.rect.bottom - self.body.height + 12)
        self.app.dirty = True

    def navigate(self, direction: str) -> None:
        """An arrow, the d-pad or the stick: to the widget itself, else to its neighbour on that side."""
        widget = self.focused
        self.app.dirty = True
        if widget is None:
            return self.cycle(1)
        if widget.turn(direction):
            return None
        others = [other for other in self.widgets if other.focusable and other.enabled and other is not widget]
        reach = [(_distance(widget.rect, other.rect, direction), other) for other in others]
        near = [(far, other) for far, other in reach if far is not None]
        if near:
            self.set_focus(min(near, key=lambda pair: pair[0])[1].key)
        elif direction in ("up", "down"):
            self._scroll_to(self.scroll + (WHEEL if direction == "down" else -WHEEL))
        return None

    def cycle(self, step: int) -> None:
        """Tab and Shift+Tab."""
        keys = [widget.key for widget in self.widgets if widget.focusable and widget.enabled]
        if self.captured is not None:
            self.captured.put_down()
        if keys:
            here = keys.index(self.focus) if self.focus in keys else -1 if step > 0 else 0
            self.set_focus(keys[(here + step) % len(keys)])

    def shoulder(self, step: int) -> None:
        """LB and RB, a pad's Shift+Tab and Tab; where there is nothing to choose they scroll."""
        if sum(widget.focusable and widget.enabled for widget in self.widgets) > 1:
            self.cycle(step)
        else:
            self.page(step)

    def press(self) -> None:
        """Enter, Space or A goes down."""
        if self.focused is not None:
            self.focused.press()
        self.app.dirty = True

    def release(self) -> None:
        """It comes up."""
        if self.focused is not None:
            self.focused.release()

    def let_go_or_back(self) -> None:
        """Esc or B: first out of the widget that has captured the keys, then out of the screen."""
        captured = self.captured
        if captured is not None:
            captured.let_go()
            self.app.dirty = True
        else:
            self.back()

    def page(self, step: int) -> None:
        """Page up and down."""
        self._scroll_to(self.scroll + step * (self.body.height - 40))

    def mouse(self, event: pygame.event.Event) -> None:
        """Clicks focus and press; a button held down keeps its widget; the wheel scrolls."""
        if event.type == pygame.MOUSEWHEEL:
            self._scroll_to(self.scroll - event.y * WHEEL)
            return
        x, y = event.pos[0] - self.body.x, event.pos[1] - self.body.y + self.scroll
        if event.type == pygame.MOUSEBUTTONDOWN:
            inside = self.body.collidepoint(event.pos)
            self._grabbed = next((w for w in self.widgets if inside and w.focusable and w.enabled and w.rect.collidepoint(x, y)), None)
            captured = self.captured
            if captured is not None and captured is not self._grabbed:
                captured.put_down()
            if self._grabbed is not None:
                self.set_focus(self._grabbed.key)
        if self._grabbed is not None:
            self._grabbed.mouse(event, (x - self._grabbed.rect.x, y - self._grabbed.rect.y))
            self.app.dirty = True
        if event.type == pygame.MOUSEBUTTONUP:
            self._grabbed = None

    def draw(self, surface: pygame.Surface) -> None:
        """Title, widgets, hints."""
        theme, body = self.app.theme, self.body
        surface.fill(look.BACKGROUND)
        self._draw_widgets(surface, body)
        title = theme.fitted(self.title, body.width, 30)
        surface.blit(title, (body.x, (body.y - title.get_height()) // 2))
        pygame.draw.line(surface, look.LINE, (0, body.y - 6), (surface.get_width(), body.y - 6))
        widget = self.focused
        hint = widget.hint if widget is not None and widget.hint else ""
        high = theme.font(18).get_linesize()
        below = body.bottom + 6
        pygame.draw.line(surface, look.LINE, (0, below), (surface.get_width(), below))
        lines = self._hint_lines()
        for number, line in enumerate(theme.wrap(hint, body.width, 18)[:lines]):
            surface.blit(theme.text(line, 18, look.TEXT), (body.x, below + 5 + number * high))
        keys = self.hints().split(GAP)
        while len(keys) > 1 and theme.font(18).size(GAP.join(keys))[0] > body.width:
            keys.pop()
        surface.blit(theme.fitted(GAP.join(keys), body.width, 18, look.DIM), (body.x, below + 5 + lines * high))

    def hints(self) -> str:
        """The keys that work here, the most needed first: the last are left out where there is no room."""
        return "Enter or A: press   Esc or B: back   arrows or d-pad: choose   Tab or RB: next   F1: help"

    def _draw_widgets(self, surface: pygame.Surface, body: pygame.Rect) -> None:
        clip = surface.get_clip()
        surface.set_clip(body.inflate(8, 4))
        for widget in self.widgets:
            rect = widget.rect.move(body.x, body.y - self.scroll)
            if rect.colliderect(body):
                widget.draw(surface, rect, self.app.theme, widget is self.focused)
                if widget is self.focused:
                    pygame.draw.rect(
                        surface, look.ACCENT if not widget.captured else self.app.theme.bad, rect.inflate(4, 4), 2, border_radius=8
                    )
        if self._bottom > body.height:
            part = max(24, body.height * body.height // self._bottom)
            top = body.y + (body.height - part) * self.scroll // max(1, self._bottom - body.height)
            pygame.draw.rect(surface, look.LINE, (body.right - 3, top, 6, part), border_radius=3)
        surface.set_clip(clip)

    def _bars(self) -> tuple[int, int]:
        """Height of the title and of the hints."""
        theme = self.app.theme
        return theme.font(30).get_linesize() + 22, (self._hint_lines() + 1) * theme.font(18).get_linesize() + 18

    def _hint_lines(self) -> int:
        """Lines that are kept free for what is told of the focused widget."""
        return 1 if self.app.theme.font(18).size("n" * LONGEST_HINT)[0] <= self.app.surface.get_width() - 32 else 2

    def _scroll_to(self, offset: int) -> None:
        self.scroll = max(0, min(offset, self._bottom - self.body.height))
        self.app.dirty = True


def _distance(here: pygame.Rect, there: pygame.Rect, direction: str) -> float | None:
    """How far a neighbour is in a direction; None if it does not lie there. Beside counts less than off to a side."""
    dx, dy = there.centerx - here.centerx, there.centery - here.centery
    along, across = {"left": (-dx, dy), "right": (dx, dy), "up": (-dy, dx), "down": (dy, dx)}[direction]
    if direction in ("left", "right"):
        beyond = there.left >= here.right if direction == "right" else there.right <= here.left
        overlap = min(here.bottom, there.bottom) - max(here.top, there.top)
    else:
        beyond = there.top >= here.bottom if direction == "down" else there.bottom <= here.top
        overlap = min(here.right, there.right) - max(here.left, there.left)
    if not beyond:
        return None
    if direction in ("left", "right") and overlap <= 0:
        return None
    return along + (0.3 if overlap > 0 else 2.0) * abs(across)
