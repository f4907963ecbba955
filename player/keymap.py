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
BUTTONS: dict[int, str] = {0: "jump", 11: "up", 12: "down", 13: "left", 14: "right"}  # of a gamepad, in SDL's order


def control_of(key: int, controls: frozenset[str]) -> str | None:
    """The control a key stands for in a world that has these controls."""
    return _known(KEYS.get(key), controls)


def control_of_button(button: int, controls: frozenset[str]) -> str | None:
    """The control a gamepad's button stands for."""
    return _known(BUTTONS.get(button), controls)


def _known(control: str | None, controls: frozenset[str]) -> str | None:
    """The control if the world has it; up is jump where only jump exists."""
    if control == "up" and "up" not in controls and "jump" in controls:
        return "jump"
    return control if control in controls else None
