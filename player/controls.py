"""From the controls that are held to an action of the world."""

from __future__ import annotations

from genie.runtime.actions import Action
from genie.world import World

MOVES = ("left", "right", "up", "down")
DIRECT = "action:"  # a control that is one action: bound in the action lab


class ActionMap:
    """Chooses a world's action for a set of held controls."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._known = frozenset(key for action in world.actions for key in action.keys)
        acts = [key for key in dict.fromkeys(key for action in world.actions for key in action.keys)
                if key not in MOVES and not key.isdecimal()]  # fmt: skip
        self._acts = {"act": acts[0] if acts else "", "act 2": acts[1] if len(acts) > 1 else acts[0] if acts else ""}

    def control(self, target: str) -> str | None:
        """The world's control for a bound one, or None if the world has none: up is jump where only jump exists."""
        if target.startswith(DIRECT):
            number = target[len(DIRECT) :]
            return target if number.isdecimal() and int(number) < len(self.world.actions) else None
        found = self._acts.get(target, target)
        if found == "up" and "up" not in self._known:
            found = self._acts["act"]
        return found if found in self._known else None

    def choose(self, held: frozenset[str]) -> Action:
        """The action for the world's controls that are held; an action bound by itself goes first."""
        direct = sorted(control for control in held if control.startswith(DIRECT))
        if direct:
            return self.world.action_table.find(int(direct[0][len(DIRECT) :]))
        return self.world.action_table.for_keys(held)
