"""The panel of figures beside the picture (F2)."""

from __future__ import annotations

import pygame

from player import theme as look
from player.drift import DriftMeter
from player.model_thread import ModelThread, Shown
from player.theme import Theme

BARS = ("context", "drift")


def panel_width(theme: Theme, window: int) -> int:
    """Of the panel, in pixels, in a window so wide."""
    return min(theme.font(20).size("key to screen  888 of 888 fps")[0] + 40, window // 2)


class Hud:
    """Frames/s against the target, step and key-to-screen times, context, seed and salt, action, drift, recording."""

    def __init__(self, theme: Theme, model: ModelThread, drift: DriftMeter, names: dict[str, str]) -> None:
        """`names`: what the user calls actions."""
        self._theme, self._model, self._drift, self._names = theme, model, drift, names

    def figures(self, shown: Shown) -> tuple[dict[str, str], dict[str, float]]:
        """What the panel says, and the two shares (0 … 1) that it draws as bars."""
        model, world, facts = self._model, self._model.world, self._model.facts
        assert world is not None and facts is not None
        timing = model.figures
        waits = list(timing.key_to_screen)
        context = world.engine.context
        filled = min(1.0, (shown.index + facts.prompt_length) / context)
        drift = self._drift(shown.frame)
        state = "rewinding" if model.rewinding else "paused" if model.paused else "fast" if model.hurry else model.mode
        lines = {
            "rate": f"{timing.rate:.1f} of {model.target:g} fps" if timing.rate else f"– of {model.target:g} fps",
            "step p50": f"{timing.milliseconds(50):.1f} ms",
            "step p99": f"{timing.milliseconds(99):.1f} ms",
            "key to screen": f"{waits[-1] * 1000:.0f} ms" if waits else "–",
            "mode": state,
            "frame": f"{shown.index}" + (f" of {model.tip}" if shown.index < model.tip else ""),
            "branch": f"{shown.branch}",
            "action": self._names.get(shown.action, shown.action) or "–",
            "driver": model.driver,
            "seed": f"{facts.seed}",
            "salt": f"{shown.salt}",
            "context": f"{filled:.0%} of {context}",
            "drift": f"{drift:.0%}",
            "runs on": world.backend,
        }
        return lines, {"context": filled, "drift": drift}

    def draw(self, surface: pygame.Surface, area: pygame.Rect, shown: Shown) -> None:
        """Into `area` of the window."""
        theme = self._theme
        lines, shares = self.figures(shown)
        pygame.draw.rect(surface, look.PANEL, area, border_radius=8)
        size = next((size for size in range(20, 8, -1) if self._height(size, len(lines)) <= area.height), 8)
        high = theme.font(size).get_linesize() + 4
        y = area.y + 10
        for name, value in lines.items():
            if y + high > area.bottom:
                break
            surface.blit(theme.text(name, size, look.DIM), (area.x + 12, y))
            text = theme.fitted(value, max(20, area.width - 24 - theme.font(size).size(name)[0] - 10), size, self._colour(name, shares))
            surface.blit(text, (area.right - 12 - text.get_width(), y))
            y += high
            if name in BARS:
                box = pygame.Rect(area.x + 12, y, area.width - 24, 6)
                pygame.draw.rect(surface, look.LINE, box, border_radius=3)
                full = box.copy()
                full.width = round(box.width * min(1.0, shares[name]))
                pygame.draw.rect(surface, self._colour(name, shares) if name == "drift" else look.ACCENT, full, border_radius=3)
                y += 12
        if self._model.take is not None and y + high <= area.bottom:
            pygame.draw.circle(surface, theme.bad, (area.x + 20, y + high // 2), 7)
            surface.blit(theme.text(f"REC  {max(0, shown.index - self._model.take.first)} frames", size, theme.bad), (area.x + 34, y + 2))

    def _height(self, size: int, lines: int) -> int:
        """Pixels that all figures take in letters of a size: they become smaller where a window is low, none is left out."""
        return (lines + 1) * (self._theme.font(size).get_linesize() + 4) + 20 + 12 * len(BARS)

    def _colour(self, name: str, shares: dict[str, float]) -> look.Colour:
        if name == "rate":
            return self._theme.bad if self._model.slow else self._theme.good
        if name == "drift":
            return self._theme.bad if shares["drift"] > 0.5 else self._theme.good
        return look.TEXT
