"""The few widgets that the screens are made of. Each can be focused, pressed and turned, so a keyboard or a gamepad is enough.

pygame-gui was looked at first: its manager gives the keyboard no way from one button to the next and knows no gamepads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pygame

from player import theme as look
from player.theme import Theme

Direction = str  # "left", "right", "up", "down"
BESIDE = 240  # pixels that buttons beside a picture take, at normal letters
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789 -_.,!?"


class Widget:
    """Something in a screen; `rect` is in the screen's content, which may be scrolled."""

    focusable = True
    captured = False  # it takes every direction and Back until it is released

    def __init__(self, key: str, on_press: Callable[[], object] | None = None, hint: str = "", enabled: bool = True) -> None:
        self.key, self.on_press, self.hint, self.enabled = key, on_press, hint, enabled
        self.rect = pygame.Rect(0, 0, 0, 0)

    def size(self, theme: Theme, room: int) -> tuple[int, int]:
        """Wanted width and height where `room` pixels of width are free."""
        return room, theme.row

    def draw(self, surface: pygame.Surface, rect: pygame.Rect, theme: Theme, focused: bool) -> None:
        """Paint it at `rect`, already scrolled."""

    def press(self) -> None:
        """Enter, A or a click."""
        if self.enabled and self.on_press is not None:
            self.on_press()

    def release(self) -> None:
        """Enter or A comes up again."""

    def turn(self, direction: Direction) -> bool:
        """A direction while focused; True if it was used here and the focus stays."""
        return False

    def let_go(self) -> None:
        """Back while captured."""
        self.captured = False

    def put_down(self) -> None:
        """The user goes elsewhere while it is captured."""
        self.let_go()

    def adopt(self, old: Any) -> None:
        """Take over the state of the widget of the same key and kind that this one replaces."""
        self.captured = old.captured

    def mouse(self, event: pygame.event.Event, position: tuple[int, int]) -> None:
        """A mouse event at `position` from the widget's corner; a click presses."""
        if event.type == pygame.MOUSEBUTTONDOWN and event.button == 1:
            self.press()

    def typed(self, event: pygame.event.Event) -> bool:
        """A key while captured; True if it was used."""
        return False

    def command(self, name: str) -> bool:
        """A pad button beyond A and B ("x", "y", "lb", "rb") while focused; True if it was used."""
        return False


class Text(Widget):
    """Lines to read."""

    focusable = False

    def __init__(self, text: str, size: int = 20, colour: look.Colour = look.TEXT, key: str = "") -> None:
        super().__init__(key)
        self.text, self._size, self._colour = text, size, colour

    def size(self, theme: Theme, room: int) -> tuple[int, int]:
        lines = theme.wrap(self.text, room, self._size)
        return min(room, max(theme.font(self._size).size(line)[0] for line in lines)), len(lines) * theme.font(self._size).get_linesize()

    def draw(self, surface: pygame.Surface, rect: pygame.Rect, theme: Theme, focused: bool) -> None:
        for number, line in enumerate(theme.wrap(self.text, max(rect.width, 1), self._size)):
            surface.blit(theme.text(line, self._size, self._colour), (rect.x, rect.y + number * theme.font(self._size).get_linesize()))


class Button(Widget):
    """A label to press."""

    def __init__(
        self, key: str, label: str, on_press: Callable[[], object], hint: str = "", enabled: bool = True, on: bool = False
    ) -> None:
        super().__init__(key, on_press, hint, enabled)
        self.label, self.on = label, on

    def size(self, theme: Theme, room: int) -> tuple[int, int]:
        width = min(room, self.width(theme) + 28)
        return width, theme.row + (len(self._lines(theme, width)) - 1) * theme.font().get_linesize()

    def width(self, theme: Theme) -> int:
        """Pixels that the label takes in one line."""
        return theme.font().size(self.shown())[0]

    def _lines(self, theme: Theme, width: int) -> list[str]:
        return theme.wrap(self.shown(), width - 12)

    def shown(self) -> str:
        """The label as it is drawn."""
        return self.label

    def draw(self, surface: pygame.Surface, rect: pygame.Rect, theme: Theme, focused: bool) -> None:
        fill = look.ACCENT if self.on else look.HOVER if focused else look.RAISED
        pygame.draw.rect(surface, fill if self.enabled else look.PANEL, rect, border_radius=7)
        colour = look.BACKGROUND if self.on else look.TEXT if self.enabled else look.OFF
        lines, high = self._lines(theme, rect.width), theme.font().get_linesize()
        for number, line in enumerate(lines):
            text = theme.text(line, colour=colour)
            surface.blit(text, text.get_rect(centerx=rect.centerx, centery=rect.centery + round((number - (len(lines) - 1) / 2) * high)))


class Choice(Button):
    """One of several values: press for the next, turn left or right."""

    def __init__(
        self, key: str, label: str, options: Sequence[str], index: int, on_change: Callable[[int], object], hint: str = ""
    ) -> None:
        super().__init__(key, label, self._next, hint)
        self.options, self.index, self._on_change = list(options), index, on_change

    def width(self, theme: Theme) -> int:
        return max(theme.font().size(f"{self.label}  ‹ {option} ›")[0] for option in self.options)

    def shown(self) -> str:
        return f"{self.label}  ‹ {self.options[self.index]} ›"

    def turn(self, direction: Direction) -> bool:
        step = {"left": -1, "right": 1}.get(direction, 0)
        if not step or not 0 <= self.index + step < len(self.options):
            return False
        self._set(self.index + step)
        return True

    def _next(self) -> None:
        self._set((self.index + 1) % len(self.options))

    def _set(self, index: int) -> None:
        self.index = index
        self._on_change(index)


ARROWS: dict[int, Direction] = {pygame.K_LEFT: "left", pygame.K_RIGHT: "right", pygame.K_UP: "up", pygame.K_DOWN: "down"}


class Field(Button):
    """A line of text. Press to write; with a pad up and down choose the letter, right goes on, left takes one back."""

    def __init__(self, key: str, label: str, value: str, on_done: Callable[[str], object], hint: str = "", limit: int = 40) -> None:
        super().__init__(key, label, self._toggle, hint)
        self.value, self._on_done, self._limit = value, on_done, limit
        self._before = value

    def width(self, theme: Theme) -> int:
        return theme.font().size(self.label + "  " + "m" * 18)[0]

    def _lines(self, theme: Theme, width: int) -> list[str]:
        return super()._lines(theme, width)[-1:]  # the end, where one writes

    def shown(self) -> str:
        return f"{self.label}  {self.value}" + ("|" if self.captured else "" if self.value else "–")

    def let_go(self) -> None:
        self.captured, self.value = False, self._before

    def put_down(self) -> None:
        self._toggle()  # what was written counts

    def adopt(self, old: Any) -> None:
        if old.captured:
            self.captured, self.value, self._before = True, old.value, old._before

    def turn(self, direction: Direction) -> bool:
        if not self.captured:
            return False
        if direction in ("up", "down"):
            here = LETTERS.find(self.value[-1:].lower()) if self.value else -1
            letter = LETTERS[(here + (1 if direction == "up" else -1)) % len(LETTERS)] if self.value else LETTERS[0]
            self.value = self.value[:-1] + letter
        elif direction == "right" and len(self.value) < self._limit:
            self.value += "a"
        elif direction == "left":
            self.value = self.value[:-1]
        return True

    def typed(self, event: pygame.event.Event) -> bool:
        if event.key == pygame.K_BACKSPACE:
            self.value = self.value[:-1]
        elif event.key in (pygame.K_RETURN, pygame.K_KP_ENTER):
            self._toggle()
        elif event.key == pygame.K_TAB:
            self._toggle()
            return False  # and on to the next
        elif event.key in ARROWS:
            return True  # a keyboard has letters; arrows choose them on a pad only
        elif event.unicode and event.unicode.isprintable() and len(self.value) < self._limit:
            self.value += event.unicode
        else:
            return False
        return True

    def _toggle(self) -> None:
        self.captured = not self.captured
        if self.captured:
            self._before = self.value
        elif self.value != self._before:
            self._on_done(self.value.strip())


class Picture(Widget):
    """A picture, enlarged by a whole number, with lines under it; may be pressed."""

    def __init__(
        self,
        key: str,
        picture: pygame.Surface | None,
        lines: Sequence[str] = (),
        scale: int = 1,
        on_press: Callable[[], object] | None = None,
        hint: str = "",
        on: bool = False,
    ) -> None:
        super().__init__(key, on_press, hint)
        self.focusable = on_press is not None
        self.picture, self.lines, self.scale, self.on = picture, list(lines), scale, on

    def size(self, theme: Theme, room: int) -> tuple[int, int]:
        width, height = self._picture_size()
        if any(self.lines):
            width = max(
                width, min(room - 16, max(theme.font(18).size(line)[0] for line in self.lines), max(width, round(220 * theme.scale)))
            )
        text = len(self._wrapped(theme, width + 4)) * theme.font(18).get_linesize()
        return width + 2 * self._margin, height + text + 2 * self._margin

    def draw(self, surface: pygame.Surface, rect: pygame.Rect, theme: Theme, focused: bool) -> None:
        if self.focusable:
            pygame.draw.rect(surface, look.HOVER if focused else look.RAISED, rect, border_radius=7)
        width, height = self._picture_size()
        place = pygame.Rect(rect.x + (rect.width - width) // 2, rect.y + self._margin, width, height)
        if self.picture is None:
            pygame.draw.rect(surface, look.PANEL, place)
        else:
            surface.blit(pygame.transform.scale(self.picture, place.size), place)
        if self.on:
            pygame.draw.rect(surface, look.ACCENT, place.inflate(4, 4), 3, border_radius=3)
        high = theme.font(18).get_linesize()
        for number, line in enumerate(self._wrapped(theme, rect.width - 2 * self._margin + 4)):
            text = theme.text(line, 18, look.TEXT if number == 0 else look.DIM)
            surface.blit(text, (rect.x + (rect.width - text.get_width()) // 2, place.bottom + 3 + number * high))

    @property
    def _margin(self) -> int:
        return 6 if self.focusable else 0

    def _wrapped(self, theme: Theme, width: int) -> list[str]:
        return [part for line in self.lines for part in theme.wrap(line, width, 18)]

    def _picture_size(self) -> tuple[int, int]:
        if self.picture is None:
            return 64 * self.scale, 64 * self.scale
        return self.picture.get_width() * self.scale, self.picture.get_height() * self.scale


class Flow:
    """Places widgets from left to right in lines that wrap, so larger letters only make a screen longer."""

    def __init__(self, area: pygame.Rect, theme: Theme) -> None:
        self.area, self.theme = area, theme
        self.widgets: list[Widget] = []
        self._x, self._y, self._line = area.x, area.y, 0

    def add(self, widget: Widget, width: int | None = None, height: int | None = None) -> Widget:
        """Place one; returns it."""
        room = min(width or self.area.width, self.area.width)
        wanted = widget.size(self.theme, room)
        size = (room if width else min(wanted[0], room), height or wanted[1])
        if self._x > self.area.x and self._x + size[0] > self.area.right:
            self.newline()
        widget.rect = pygame.Rect((self._x, self._y), size)
        self._x += size[0] + self.theme.gap
        self._line = max(self._line, size[1])
        self.widgets.append(widget)
        return widget

    def newline(self, space: int = 0) -> None:
        """Begin another line."""
        if self._line:
            self._y += self._line + self.theme.gap
        self._y += space
        self._x, self._line = self.area.x, 0

    def beside(self) -> Flow:
        """A flow of its own in what is left of this line, or in the next one where that is little; `take` puts it in."""
        if self.area.right - self._x < round(BESIDE * self.theme.scale):
            self.newline()
        return Flow(pygame.Rect(self._x, self._y, self.area.right - self._x, self.area.height), self.theme)

    def take(self, inner: Flow) -> None:
        """Put in what was placed beside."""
        self.widgets += inner.widgets
        self._x = self.area.right + 1  # the line is full
        self._line = max(self._line, inner.bottom - inner.area.y)

    def heading(self, text: str) -> None:
        """A line of larger letters."""
        self.newline(space=4)
        self.add(Text(text, 24, look.ACCENT))
        self.newline()

    def text(self, text: str, colour: look.Colour = look.DIM, size: int = 20) -> None:
        """A paragraph."""
        self.newline()
        self.add(Text(text, size, colour))
        self.newline()

    @property
    def bottom(self) -> int:
        """Where the next line would begin."""
        return self._y + (self._line + self.theme.gap if self._line else 0)
