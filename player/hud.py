"""The line of figures under the picture."""

from __future__ import annotations

import pygame

from player.model_thread import ModelThread, Shown

LINE = 20  # pixels high
TEXT = (235, 235, 235)
DIM = (150, 150, 150)
BACKGROUND = (18, 18, 22)


class Hud:
    """Draws frames/s against the target, step milliseconds, action and state."""

    LINES = 3

    def __init__(self, width: int, target_rate: float) -> None:
        self._font = pygame.font.Font(None, LINE)
        self._target = target_rate
        self.height = self.LINES * LINE + 8
        self._surface = pygame.Surface((width, self.height))

    def draw(self, model: ModelThread, shown: Shown) -> pygame.Surface:
        """The HUD as a surface."""
        figures = model.figures
        latency = f"{figures.latency[-1] * 1000:.0f}" if figures.latency else "–"
        rate = "paused" if model.paused else f"{figures.rate:.1f}/{self._target:g} frames/s"
        first = f"{rate}   step {figures.milliseconds(50):.1f} ms (p99 {figures.milliseconds(99):.1f})   key to frame {latency} ms"
        second = f"frame {shown.index}   {shown.action or '–'}"
        help_text = "arrows/WASD move · Space jumps · P pause · R reset · Esc quit"
        self._surface.fill(BACKGROUND)
        self._surface.blit(self._font.render(first, True, TEXT), (8, 5))
        drawn = self._font.render(second, True, TEXT)
        self._surface.blit(drawn, (8, 5 + LINE))
        tip = self._font.render(help_text, True, DIM)
        self._surface.blit(tip, (8, 5 + 2 * LINE))
        return self._surface
