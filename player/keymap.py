"""From keyboard and gamepad to a world's controls."""

from __future__ import annotations

import pygame

KEYS: dict[int, str] = {
    pygame.K_LEFT: "left",
    pygame.K_a: "left",
    pygame.K_RIGHT: "right",
    pygame.K_d: "right",
    pygame.K_UP: "up",
    pygame.K_w: "up",
    pygame.K_DOWN: "down",
    pygame.K_s: "down",
    pygame.K_SPACE: "jump",
    pygame.K_z: "jump",
    **{getattr(pygame, f"K_{number}"): str(number) for number in range(1, 10)},
}
PAD_BUTTONS: dict[int, str] = {0: "jump", 11: "up", 12: "down", 13: "left", 14: "right"}


def control_of(key: int, controls: frozenset[str]) -> str | None:
    """The control a key stands for in a world that has these controls; up is jump where only jump exists."""
    control = KEYS.get(key)
    if control == "up" and "up" not in controls and "jump" in controls:
        return "jump"
    return control if control in controls else None
