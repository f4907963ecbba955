"""What letters a screen draws, and where: so that a test can tell what is cut off, hidden or drawn over."""

from __future__ import annotations

from dataclasses import dataclass

import pygame
import pytest

from player import theme as look
from player.screen import Screen
from player.theme import Theme


@dataclass(frozen=True)
class Line:
    """One line of letters as it was drawn."""

    text: str
    rect: pygame.Rect  # that can be seen
    whole: str  # before it was cut to the room there was
    width: int  # that it would take


class _Words(pygame.Surface):
    """Letters that know what they say."""

    text = whole = ""


class _Sheet(pygame.Surface):
    """Notes the letters that are drawn on it."""

    lines: list[Line]

    def blit(self, source: pygame.Surface, dest: object, *rest: object) -> pygame.Rect:  # type: ignore[override]
        drawn = super().blit(source, dest, *rest)  # type: ignore[arg-type]
        if isinstance(source, _Words) and source.text.strip() and drawn.size != (0, 0):
            self.lines.append(Line(source.text, drawn, source.whole, source.get_width()))
        return drawn


def drawn(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> list[Line]:
    """Draw a screen and tell every line of letters in it."""
    text, fitted = Theme.text, Theme.fitted

    def words(made: pygame.Surface, whole: str, cut: str) -> _Words:
        found = _Words(made.get_size(), pygame.SRCALPHA)
        pygame.Surface.blit(found, made, (0, 0))
        found.text, found.whole = cut, whole
        return found

    def noted(self: Theme, line: str, size: int = 20, colour: look.Colour = look.TEXT) -> pygame.Surface:
        return words(text(self, line, size, colour), line, line)

    def noted_fitted(self: Theme, line: str, width: int, size: int = 20, colour: look.Colour = look.TEXT) -> pygame.Surface:
        made = fitted(self, line, width, size, colour)
        return words(made, line, line if made.get_width() == self.font(size).size(line)[0] else "…")

    sheet = _Sheet(screen.app.surface.get_size())
    sheet.lines = []
    with monkeypatch.context() as patch:
        patch.setattr(Theme, "text", noted)
        patch.setattr(Theme, "fitted", noted_fitted)
        screen.draw(sheet)
    return sheet.lines


def faults(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is wrong with the letters of a screen: cut, beyond the window, over each other."""
    lines = drawn(screen, monkeypatch)
    found = [f"cut: {line.whole}" for line in lines if line.text != line.whole]
    found += [f"beyond an edge: {line.text}" for line in lines if line.rect.width < line.width]
    for number, line in enumerate(lines):
        inner = line.rect.inflate(-2, -4)
        found += [
            f"over each other: {line.text} | {other.text}" for other in lines[:number] if inner.colliderect(other.rect.inflate(-2, -4))
        ]
    return found
