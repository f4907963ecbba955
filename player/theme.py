"""Colours, letters and distances: dark, with one accent, and states told by shape as well as by colour."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import pygame

Colour = tuple[int, int, int]

BACKGROUND: Colour = (17, 19, 24)
PANEL: Colour = (28, 31, 39)
RAISED: Colour = (41, 45, 56)
HOVER: Colour = (54, 60, 75)
LINE: Colour = (66, 72, 88)
TEXT: Colour = (233, 235, 240)
DIM: Colour = (156, 163, 178)
OFF: Colour = (98, 104, 118)
ACCENT: Colour = (86, 180, 233)  # sky blue of Okabe and Ito's palette
# Okabe and Ito's colours tell branches and actions apart, also for the colour-blind.
SERIES: tuple[Colour, ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (240, 228, 66),
    (204, 121, 167),
    (213, 94, 0),
    (0, 114, 178),
    (200, 200, 200),
)


@dataclass(frozen=True)
class Theme:
    """What depends on the settings."""

    scale: float = 1.0  # of the letters, 1 … 2
    safe: bool = True

    @property
    def good(self) -> Colour:
        """All is well."""
        return (86, 180, 233) if self.safe else (98, 200, 120)

    @property
    def bad(self) -> Colour:
        """Look here."""
        return (230, 159, 0) if self.safe else (232, 90, 80)

    def font(self, size: int = 20) -> pygame.font.Font:
        """The letters, enlarged as the user wants them."""
        return _font(round(size * self.scale))

    def text(self, text: str, size: int = 20, colour: Colour = TEXT) -> pygame.Surface:
        """One line as a surface."""
        return self.font(size).render(text, True, colour)

    def fitted(self, text: str, width: int, size: int = 20, colour: Colour = TEXT) -> pygame.Surface:
        """One line, cut with … where it is wider than `width`."""
        font = self.font(size)
        if font.size(text)[0] > width:
            while text and font.size(text + "…")[0] > width:
                text = text[:-1]
            text += "…"
        return font.render(text, True, colour)

    def wrap(self, text: str, width: int, size: int = 20) -> list[str]:
        """A text as lines no wider than `width`; a word that is wider is broken."""
        return list(_wrapped(text, width, round(size * self.scale)))

    @property
    def gap(self) -> int:
        """Between two things, in pixels."""
        return round(10 * min(self.scale, 1.5))

    @property
    def row(self) -> int:
        """Height of a button, in pixels."""
        return round(20 * self.scale) + 16


@lru_cache(maxsize=2000)  # screens are drawn far more often than their texts change
def _wrapped(text: str, width: int, size: int) -> tuple[str, ...]:
    font, lines = _font(size), []
    for paragraph in text.split("\n"):
        line = ""
        for word in (part for whole in paragraph.split(" ") for part in _broken(whole, width, font)):
            longer = f"{line} {word}" if line else word
            if line and font.size(longer)[0] > width:
                lines.append(line)
                line = word
            else:
                line = longer
        lines.append(line)
    return tuple(lines)


def _broken(word: str, width: int, font: pygame.font.Font) -> list[str]:
    """A word in as many parts as it takes to be no wider than `width`."""
    parts = []
    while font.size(word)[0] > width and len(word) > 1:
        fit = next((length for length in range(len(word) - 1, 1, -1) if font.size(word[:length])[0] <= width), 1)
        parts.append(word[:fit])
        word = word[fit:]
    return [*parts, word]


_fonts: dict[int, pygame.font.Font] = {}


def _font(size: int) -> pygame.font.Font:
    if size not in _fonts:
        _fonts[size] = pygame.font.Font(None, size)
    return _fonts[size]


def forget_fonts() -> None:
    """Fonts do not outlive pygame."""
    _fonts.clear()
    _wrapped.cache_clear()
