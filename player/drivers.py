"""Who acts: the human, a policy, or the take itself once more. Control changes hands without a reset."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from genie.runtime.actions import Action
from genie.world import World

DRIVERS = ("human", "policy", "replay")
HOLD = 8  # mean frames that the policy holds an action


class Policy:
    """Holds one random action for a fraction of a second, then another: enough to see a world move. Seeded."""

    def __init__(self, world: World, seed: int) -> None:
        named = [action for action in world.actions if action.kind == "recorded"]
        self._actions = named or list(world.actions)
        self._random = np.random.default_rng(seed)
        self._action = self._actions[0]

    def act(self) -> Action:
        """The action for the next frame."""
        if self._random.random() < 1 / HOLD:
            self._action = self._actions[int(self._random.integers(len(self._actions)))]
        return self._action


class Replay:
    """Gives the actions of a take again, from its first to its last."""

    def __init__(self, world: World, actions: Sequence[int]) -> None:
        self._table = world.action_table
        self._left = list(reversed(actions))

    def act(self) -> Action | None:
        """The action for the next frame; None at the end."""
        return self._table.find(self._left.pop()) if self._left else None
