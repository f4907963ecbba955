"""From keys and pad buttons to what they mean: controls of a world, or commands of the player.

A chord is a set of tokens that are down together, written `ctrl+b` or `back+a`. Of the chords that are down and that hold the
token just pressed, the longest wins: Ctrl+Z undoes, although Z alone jumps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import pygame

CONTROLS: dict[str, str] = {  # what a world's actions are made of
    "left": "move left",
    "right": "move right",
    "up": "move up",
    "down": "move down",
    "act": "act (jump)",
    "act 2": "second act",
    **{str(number): f"latent action {number}" for number in range(1, 10)},
}
COMMANDS: dict[str, str] = {
    "pause": "pause",
    "step": "one frame on",
    "back": "one frame back",
    "rewind": "rewind (hold)",
    "fast": "fast (hold)",
    "save": "quick save",
    "load": "quick load",
    "slot": "next save slot",
    "help": "help",
    "hud": "figures on the screen",
    "around": "what lies around the picture",
    "edit": "edit the frame",
    "branches": "timeline and branches",
    "lab": "action lab",
    "re-roll": "re-roll",
    "record": "record a take",
    "full screen": "full screen",
    "screenshot": "screenshot",
    "bookmark": "bookmark",
    "reset": "reset",
    "hand over": "hand over",
    "undo": "undo to the branch point",
    "mode": "real time, fast, turn-based",
    "paste": "paste a picture (studio)",
}
HOLDS = ("rewind", "fast")  # count as long as they are held
KEYS: dict[str, tuple[str, ...]] = {
    "left": ("a", "left"),
    "right": ("d", "right"),
    "up": ("w", "up"),
    "down": ("s", "down"),
    "act": ("z", "space"),
    "act 2": ("x",),
    **{str(number): (str(number),) for number in range(1, 10)},
    "pause": ("p", "escape"),
    "step": (".",),
    "back": (",",),
    "rewind": ("backspace",),
    "fast": ("tab",),
    "save": ("f5",),
    "slot": ("f6",),
    "load": ("f9",),
    "help": ("f1",),
    "hud": ("f2",),
    "around": ("m",),
    "edit": ("f3",),
    "branches": ("f4",),
    "lab": ("f7",),
    "re-roll": ("f8",),
    "record": ("f10",),
    "full screen": ("f11",),
    "screenshot": ("f12",),
    "bookmark": ("ctrl+b",),
    "reset": ("ctrl+r",),
    "hand over": ("ctrl+m",),
    "undo": ("ctrl+z",),
    "mode": ("t",),
    "paste": ("ctrl+v",),
}
PAD: dict[str, tuple[str, ...]] = {
    "left": ("d-left", "stick-left", "right-stick-left"),
    "right": ("d-right", "stick-right", "right-stick-right"),
    "up": ("d-up", "stick-up", "right-stick-up"),
    "down": ("d-down", "stick-down", "right-stick-down"),
    "act": ("a",),
    "act 2": ("x",),
    "pause": ("start", "b"),
    "step": ("rt",),
    "back": ("lt",),
    "rewind": ("lb",),
    "fast": ("rb",),
    "save": ("back+a",),
    "load": ("back+y",),
    "slot": ("back+d-left",),
    "help": ("left-stick",),
    "hud": ("right-stick",),
    "around": ("back+right-stick",),
    "edit": ("back+x",),
    "branches": ("back+b",),
    "lab": ("back+d-right",),
    "re-roll": ("y",),
    "record": ("back+rb",),
    "full screen": ("back+rt",),
    "screenshot": ("back+d-up",),
    "bookmark": ("back+lb",),
    "reset": ("back+start",),
    "hand over": ("back+left-stick",),
    "undo": ("back+lt",),
    "mode": ("back+d-down",),
    "paste": (),
}
BUTTONS = ("a", "b", "x", "y", "back", "guide", "start", "left-stick", "right-stick", "lb", "rb",
           "d-up", "d-down", "d-left", "d-right")  # fmt: skip  # in the order SDL numbers a gamepad's
_MODIFIERS = {
    pygame.K_LCTRL: "ctrl", pygame.K_RCTRL: "ctrl", pygame.K_LSHIFT: "shift", pygame.K_RSHIFT: "shift",
    pygame.K_LALT: "alt", pygame.K_RALT: "alt", pygame.K_LMETA: "meta", pygame.K_RMETA: "meta",
}  # fmt: skip
_ORDER = ("back", "ctrl", "alt", "shift", "meta")  # written first


def key_token(key: int) -> str:
    """What a key is called in a chord; keys that have no name get their number."""
    return _MODIFIERS.get(key) or pygame.key.name(key).lower().replace("+", "plus") or f"key {key}"


def modifier_tokens(mod: int) -> frozenset[str]:
    """The modifiers that a key event says are down."""
    masks = {"ctrl": pygame.KMOD_CTRL, "shift": pygame.KMOD_SHIFT, "alt": pygame.KMOD_ALT, "meta": pygame.KMOD_META}
    return frozenset(name for name, mask in masks.items() if mod & mask)


@cache
def parse(chord: str) -> frozenset[str]:
    """`ctrl+b` -> its tokens."""
    return frozenset(part.strip().lower() for part in chord.split("+") if part.strip())


def write(tokens: Iterable[str]) -> str:
    """Tokens -> `ctrl+b`, modifiers first."""
    return "+".join(sorted(tokens, key=lambda token: (_ORDER.index(token) if token in _ORDER else len(_ORDER), token)))


@dataclass(frozen=True)
class Bindings:
    """Chords of one device -> targets (a control, a command, or `action:3` for one action of the world)."""

    table: Mapping[str, tuple[str, ...]]

    def match(self, down: frozenset[str], pressed: str) -> str | None:
        """The target of the longest chord that `pressed` completes."""
        best: tuple[int, str] | None = None
        for target, chords in self.table.items():
            for chord in chords:
                tokens = parse(chord)
                if pressed in tokens and tokens <= down and (best is None or len(tokens) > best[0]):
                    best = (len(tokens), target)
        return best[1] if best else None

    def owner(self, chord: str, asking: str = "") -> str | None:
        """Who has exactly this chord, other than who asks."""
        tokens = parse(chord)
        for target, chords in self.table.items():
            if target != asking and any(parse(other) == tokens for other in chords):
                return target
        return None

    def conflicts(self) -> list[tuple[str, str, str]]:
        """(chord, target, other target) wherever two have the same chord."""
        seen: dict[frozenset[str], str] = {}
        found = []
        for target, chords in self.table.items():
            for tokens in dict.fromkeys(parse(chord) for chord in chords):
                if tokens in seen:
                    found.append((write(tokens), seen[tokens], target))
                else:
                    seen[tokens] = target
        return found

    def label(self, target: str) -> str:
        """How its chords are shown to people."""
        return " or ".join(pretty(chord) for chord in self.table.get(target, ())) or "–"


def pretty(chord: str) -> str:
    """A chord as keys are printed: `Ctrl+B`."""
    return "+".join(token.capitalize() if len(token) > 2 else token.upper() for token in write(parse(chord)).split("+"))
