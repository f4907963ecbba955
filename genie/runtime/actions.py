"""What a world can be told to do: latent actions, recorded (named) ones where the data had labels, or one of the two alone."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from genie.errors import ActionError


class Action(BaseModel):
    """One action; `id` is its row in the dynamics' action table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: int = Field(ge=0)
    name: str = Field(min_length=1, max_length=40)
    kind: Literal["latent", "recorded"]
    keys: tuple[str, ...] = ()  # controls held together: "left", "right", "up", "down", "jump", or "1" … "9"
    gamepad: tuple[str, ...] = ()


class ActionTable:
    """A world's actions, found by `Action`, name or id."""

    def __init__(self, actions: tuple[Action, ...], idle: int = 0) -> None:
        self.actions = actions
        self.idle = actions[idle]  # what happens while no key is held
        self._by_name = {action.name: action for action in actions}
        self._by_id = {action.id: action for action in actions}
        self.latent = sum(action.kind == "latent" for action in actions)  # how many; their ids come first
        self.recorded = len(actions) - self.latent

    def find(self, action: Action | str | int) -> Action:
        """The world's own action.

        Raises:
            ActionError: there is none of this name or id.
        """
        found: Action | None = None
        if isinstance(action, Action):
            found = action if self._by_id.get(action.id) == action else None
        elif isinstance(action, str):
            found = self._by_name.get(action)
        elif isinstance(action, int | np.integer):
            found = self._by_id.get(int(action))
        if found is None:
            raise ActionError(f"the world has no action {action!r}; it has {', '.join(self._by_name)}.")
        return found

    def for_keys(self, held: frozenset[str]) -> Action:
        """The action whose keys are all held, the longest match first; `idle` where none is."""
        pressed = [action for action in self.actions if action.keys and set(action.keys) <= held]
        return max(pressed, key=lambda action: len(action.keys), default=self.idle)
