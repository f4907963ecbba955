"""A playable-world engine: learn a world from gameplay video, then play it.

import genie
world = genie.load_world("coinrun")
rollout = world.start(seed=0)
frame = rollout.step("right")  # uint8 [H, W, 3]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genie.errors import ActionError, DatasetError, GenieError, MissingDependencyError, SessionError, TrainingError, WorldFormatError

if TYPE_CHECKING:
    from genie.runtime.actions import Action
    from genie.runtime.rollout import BatchRollout, Rollout, Snapshot
    from genie.runtime.sampling import Sampling
    from genie.world import Prompt, World, installed_worlds, load_world

__version__ = "0.1.0"

_LAZY = {  # the models are imported when first asked for, so that `import genie` stays instant
    "Action": "genie.runtime.actions",
    "BatchRollout": "genie.runtime.rollout",
    "Rollout": "genie.runtime.rollout",
    "Snapshot": "genie.runtime.rollout",
    "Sampling": "genie.runtime.sampling",
    "Prompt": "genie.world",
    "World": "genie.world",
    "installed_worlds": "genie.world",
    "load_world": "genie.world",
}

__all__ = [
    "Action",
    "ActionError",
    "BatchRollout",
    "DatasetError",
    "GenieError",
    "MissingDependencyError",
    "Prompt",
    "Rollout",
    "Sampling",
    "SessionError",
    "Snapshot",
    "TrainingError",
    "World",
    "WorldFormatError",
    "installed_worlds",
    "load_world",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'genie' has no attribute {name!r}")
