"""The canvas and its tools, shared by the prompt studio and the edit screen.

With the mouse: draw. With keys or a pad: Enter or A enters the canvas, the arrows move the brush, Enter, Space or A paints, Esc or
B leaves it; X takes the colour under the brush, Y the next tool.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pygame

from player import theme as look
from player.app import App
from player.paint import Colour, Painting, Stamp
from player.picture_files import surface_of
from player.theme import Theme
from player.widgets import Button, Choice, Flow, Picture, Widget

TOOLS = ("brush", "fill", "pick", "stamp", "cut")
SIZES = (1, 2, 3, 4, 6, 8, 12, 16)
LETTERS = {pygame.K_x: "x", pygame.K_y: "y"}  # keys that do what the pad's buttons do
CHIP = 30  # pixels a side of a colour


@dataclass
class Toolbox:
    """What is in the hand."""

    palette: list[Colour]
    stamps: list[Stamp]
    tool: str = "brush"
    colour: Colour = (255, 255, 255)
    size: int = 2
    stamp: int = 0
    mirror: bool = False
    hold: bool = True
    cut_from: tuple[int, int] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.palette:
            self.colour = self.palette[0]


class Canvas(Widget):
    """Shows a painting enlarged and puts strokes on it."""

    def __init__(self, painting: Painting, tools: Toolbox, scale: int, on_change: Callable[[], object]) -> None:
        super().__init__("canvas", None, "Enter or A: paint with the arrows   Esc or B: out   X: pick the colour   Y: next tool")
        self.painting, self.tools, self.scale, self._on_change = painting, tools, scale, on_change
        height, width = painting.frame.shape[:2]
        self.at = (width // 2, height // 2)
        self._last: tuple[int, int] | None = None  # of the stroke that is being drawn

    def size(self, theme: Theme, room: int) -> tuple[int, int]:
        height, width = self.painting.frame.shape[:2]
        return width * self.scale, height * self.scale

    def draw(self, surface: pygame.Surface, rect: pygame.Rect, theme: Theme, focused: bool) -> None:
        surface.blit(pygame.transform.scale(surface_of(self.painting.frame), rect.size), rect)
        if not (self.captured or focused):
            return
        if self.tools.cut_from is not None:
            corners = [self.tools.cut_from, self.at]
            left, top = min(x for x, _ in corners), min(y for _, y in corners)
            wide, high = abs(corners[0][0] - corners[1][0]) + 1, abs(corners[0][1] - corners[1][1]) + 1
        elif self.tools.tool == "stamp" and self.tools.stamps:
            high, wide = self.tools.stamps[self.tools.stamp].mask.shape
            left, top = self.at[0] - wide // 2, self.at[1] - high // 2
        else:
            wide = high = self.tools.size if self.tools.tool == "brush" else 1
            left, top = self.at[0] - (wide - 1) // 2, self.at[1] - (high - 1) // 2
        box = pygame.Rect(rect.x + left * self.scale, rect.y + top * self.scale, wide * self.scale, high * self.scale)
        pygame.draw.rect(surface, (0, 0, 0), box.inflate(4, 4), 1)
        pygame.draw.rect(surface, look.TEXT, box.inflate(2, 2), 1)

    def press(self) -> None:
        if not self.captured:
            self.captured = True
        else:
            self._begin()

    def release(self) -> None:
        self._last = None
        if self.tools.cut_from is not None and self.captured and self.tools.cut_from != self.at:
            self._end_cut()

    def let_go(self) -> None:
        super().let_go()
        self._last, self.tools.cut_from = None, None

    def adopt(self, old: Any) -> None:
        super().adopt(old)
        self.at, self._last = old.at, old._last

    def turn(self, direction: str) -> bool:
        if not self.captured:
            return False
        dx, dy = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}[direction]
        self._move((self.at[0] + dx, self.at[1] + dy))
        return True

    def command(self, name: str) -> bool:
        if name == "x":
            self.tools.colour = self.painting.pick(self.at)
        elif name == "y":
            self.tools.tool, self.tools.cut_from = TOOLS[(TOOLS.index(self.tools.tool) + 1) % len(TOOLS)], None
        else:
            return False
        self._on_change()
        return True

    def typed(self, event: pygame.event.Event) -> bool:
        return event.key in LETTERS and not event.mod & pygame.KMOD_CTRL and self.command(LETTERS[event.key])

    def mouse(self, event: pygame.event.Event, position: tuple[int, int]) -> None:
        if event.type == pygame.MOUSEBUTTONDOWN and event.button == 1:
            self.at = self._inside((position[0] // self.scale, position[1] // self.scale))
            self._begin()
        elif event.type == pygame.MOUSEBUTTONDOWN and event.button == 3:
            self.tools.colour = self.painting.pick(self._inside((position[0] // self.scale, position[1] // self.scale)))
            self._on_change()
        elif event.type == pygame.MOUSEMOTION:
            self._move((position[0] // self.scale, position[1] // self.scale))
        elif event.type == pygame.MOUSEBUTTONUP:
            self._last = None
            if self.tools.cut_from is not None:
                self._end_cut()

    def _begin(self) -> None:
        tools = self.tools
        self.painting.mirror, self.painting.hold = tools.mirror, tools.hold
        if tools.tool == "pick":
            tools.colour = self.painting.pick(self.at)
        elif tools.tool == "cut":
            if tools.cut_from is not None:
                self._end_cut()
            else:
                tools.cut_from = self.at
        else:
            self.painting.begin()
            self._last = self.at
            self._stroke(self.at)
        self._on_change()

    def _move(self, to: tuple[int, int]) -> None:
        to = self._inside(to)
        if to == self.at:
            return
        before, self.at = self.at, to
        if self._last is not None:
            self._stroke(before)
            self._on_change()

    def _stroke(self, before: tuple[int, int]) -> None:
        tools = self.tools
        if tools.tool == "brush":
            self.painting.line(before, self.at, tools.colour, tools.size)
        elif tools.tool == "fill":
            self.painting.fill(self.at, tools.colour)
        elif tools.tool == "stamp" and tools.stamps and self._last is not None:
            stamp = tools.stamps[tools.stamp]
            high, wide = stamp.mask.shape
            # Dragged, stamps lie side by side like tiles.
            at = (
                self._last[0] + round((self.at[0] - self._last[0]) / wide) * wide,
                self._last[1] + round((self.at[1] - self._last[1]) / high) * high,
            )
            self.painting.stamp(at, stamp)

    def _end_cut(self) -> None:
        start, self.tools.cut_from = self.tools.cut_from, None
        if start is not None and start != self.at:
            self.tools.stamps.append(self.painting.cut(start, self.at))
            self.tools.stamp, self.tools.tool = len(self.tools.stamps) - 1, "stamp"
        self._on_change()

    def _inside(self, at: tuple[int, int]) -> tuple[int, int]:
        height, width = self.painting.frame.shape[:2]
        return max(0, min(at[0], width - 1)), max(0, min(at[1], height - 1))


class Chip(Widget):
    """A colour to press."""

    def __init__(self, number: int, colour: Colour, chosen: bool, on_press: Callable[[], object]) -> None:
        super().__init__(f"colour:{number}", on_press, f"Colour {colour[0]}, {colour[1]}, {colour[2]} of the world's prompts.")
        self._colour, self._chosen = colour, chosen

    def size(self, theme: Theme, room: int) -> tuple[int, int]:
        return CHIP, CHIP

    def draw(self, surface: pygame.Surface, rect: pygame.Rect, theme: Theme, focused: bool) -> None:
        pygame.draw.rect(surface, self._colour, rect, border_radius=5)
        pygame.draw.rect(surface, look.TEXT if self._chosen else look.LINE, rect, 3 if self._chosen else 1, border_radius=5)


def add_tools(
    flow: Flow, app: App, painting: Painting, tools: Toolbox, rebuild: Callable[[], object], changed: Callable[[], object]
) -> None:
    """The row of tools, the palette and the stamps."""

    def choose(name: str, value: object) -> Callable[[], object]:
        def chosen() -> None:
            setattr(tools, name, value)
            tools.cut_from = None
            if name == "stamp":
                tools.tool = "stamp"
            elif name == "colour" and tools.tool not in ("brush", "fill"):
                tools.tool = "brush"
            rebuild()

        return chosen

    def undone(back: bool) -> None:
        if painting.undo() if back else painting.redo():
            changed()

    hints = {
        "brush": "Draw with the colour.",
        "fill": "Fill an area of like colour.",
        "pick": "Take a colour from the picture.",
        "stamp": "Put down a piece of the world; drag to lay tiles.",
        "cut": "Drag over a part of the picture: it becomes a stamp.",
    }
    for tool in TOOLS:
        flow.add(Button(f"tool:{tool}", tool, choose("tool", tool), hints[tool], on=tools.tool == tool))
    flow.add(Choice("size", "size", [str(size) for size in SIZES], SIZES.index(tools.size), lambda index: choose("size", SIZES[index])()))
    flow.add(Button("mirror", "mirror", choose("mirror", not tools.mirror), "Every stroke also left-right reversed.", on=tools.mirror))
    flow.add(
        Button(
            "hold",
            f"hold: {'yes' if tools.hold else 'no'}",
            choose("hold", not tools.hold),
            "Strokes from now on: what the world lets go of is put back. Never a figure, which goes its own way.",
            on=tools.hold,
        )
    )
    flow.add(Button("undo", "undo", lambda: undone(True), f"{app.keys.label('undo')} takes the last stroke back."))
    flow.add(Button("redo", "redo", lambda: undone(False)))
    flow.newline()
    flow.add(_Swatch(tools.colour))
    for number, colour in enumerate(tools.palette):
        flow.add(Chip(number, colour, colour == tools.colour, choose("colour", colour)))
    flow.newline()
    for number, stamp in enumerate(tools.stamps):
        shown = np.where(stamp.mask[..., None], stamp.picture, np.array(look.RAISED, np.uint8)).astype(np.uint8)
        scale = max(1, 40 // max(shown.shape[:2]))
        flow.add(
            Picture(
                f"stamp:{number}",
                surface_of(shown),
                (),
                scale,
                choose("stamp", number),
                f"Stamp: {stamp.name}",
                on=tools.tool == "stamp" and tools.stamp == number,
            )
        )
    flow.newline()


class _Swatch(Widget):
    """The colour in the hand."""

    focusable = False

    def __init__(self, colour: Colour) -> None:
        super().__init__("swatch")
        self._colour = colour

    def size(self, theme: Theme, room: int) -> tuple[int, int]:
        return 2 * CHIP, CHIP

    def draw(self, surface: pygame.Surface, rect: pygame.Rect, theme: Theme, focused: bool) -> None:
        pygame.draw.rect(surface, self._colour, rect, border_radius=5)
        pygame.draw.rect(surface, look.TEXT, rect, 2, border_radius=5)
