"""What a world is judged on: real clips, where they come from, and how much of everything is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from genie.data.clips import Clips, ClipSampler, longest_clip
from genie.data.store import UNKNOWN_ACTION, Dataset, SplitData
from genie.errors import GenieError
from genie.evaluation import games
from genie.horizons import DELTA_STEPS, MOVING_SHARE, PROMPT_FRAMES, clips_in_motion


@dataclass(frozen=True)
class Protocol:
    """A way to judge."""

    name: str
    prompt_frames: int
    horizons: tuple[int, ...]  # frames after the prompt that are reported
    keys: Literal["recorded", "random", "human"]  # recorded clips, or the real game played now under these keys
    in_motion: bool
    says: str


PROTOCOLS = {
    "default": Protocol(
        "default", PROMPT_FRAMES, (1, 2, 4, 10, 16, 32, 64), "recorded", True, "4 real frames in motion, then 64 under the recorded keys"
    ),
    "genieredux": Protocol(
        "genieredux", 1, (1, 2, 4, 5, 10), "random", False, "1 real frame, then 10 under random keys, each held for one frame"
    ),
    "play": Protocol(
        "play",
        PROMPT_FRAMES,
        (1, 2, 4, 10, 16, 32, 64),
        "human",
        True,
        "4 real frames in motion, then 64 under sticky keys, as people press them",
    ),
}


@dataclass(frozen=True)
class Sizes:
    """How much is measured; everything follows the number of clips."""

    clips: int  # rollouts against the truth
    judge_steps: int  # of training the inverse-dynamics model
    painted_frames: int  # of the real game, painted twice, where a judge of things is needed
    segment_steps: int  # of training it
    branches: int  # moments of the real game that are branched
    long: int  # rollouts for drift
    long_frames: int
    shorter: int  # rollouts more, not as long, for collapse and the figure
    shorter_frames: int
    reference: int  # real frames that the distances compare with

    @classmethod
    def of(cls, clips: int) -> Sizes:
        """The sizes that go with a number of clips; 64 is the default."""
        share = clips / 64
        return cls(
            clips=clips,
            judge_steps=int(np.clip(400 * share, 8, 2000)),
            painted_frames=int(np.clip(6000 * share, 64, 6000)),
            segment_steps=int(np.clip(1600 * share, 8, 1600)),
            branches=int(np.clip(32 * share, 2, 512)),
            long=int(np.clip(12 * share, 2, 48)),
            long_frames=1000 if clips >= 16 else 64,
            shorter=int(np.clip(36 * share, 2, 144)),
            shorter_frames=304 if clips >= 16 else 64,  # as long as it takes to see who collapses by frame 256
            reference=int(np.clip(512 * share, 32, 2048)),
        )


@dataclass(frozen=True)
class Material:
    """The real clips of a protocol."""

    frames: np.ndarray  # uint8 [B, P + S, H, W, 3]
    actions: np.ndarray  # int [B, P + S - 1], indices of the dataset's action names; 255 where unknown
    episodes: np.ndarray  # int [B]
    other: np.ndarray | None  # uint8 [B, DELTA_STEPS, H, W, 3]: the real game under random keys from the same moments

    def arrays(self) -> dict[str, np.ndarray]:
        """To be kept."""
        found = {"frames": self.frames, "actions": self.actions, "episodes": self.episodes}
        return found if self.other is None else found | {"other": self.other}

    @classmethod
    def kept(cls, arrays: dict[str, np.ndarray]) -> Material:
        """From what `arrays` gave."""
        return cls(arrays["frames"], arrays["actions"], arrays["episodes"], arrays.get("other"))

    @property
    def labelled(self) -> bool:
        """All actions are known."""
        return bool((self.actions != UNKNOWN_ACTION).all())


def gather(protocol: Protocol, dataset: Dataset, count: int, skip: int, seed: int) -> Material:
    """The clips: from the held-out split, or from the real game on held-out levels.

    Raises:
        GenieError: the protocol needs the real game, which cannot be branched here.
    """
    steps = max(protocol.horizons)
    if protocol.keys == "recorded":
        return _recorded(dataset, protocol, count, skip, seed)
    if not games.branchable(dataset.info):
        raise GenieError(f"--protocol {protocol.name} plays {dataset.info.name} itself, which cannot be done here; --protocol default can.")
    total, length = games.SPARE * count, games.WARM_UP + protocol.prompt_frames - 1 + steps
    if protocol.keys == "human":
        keys = games.human_keys(dataset.info, total, length, skip, seed)
    else:
        keys = games.random_keys(dataset.info, total, length, seed)
    lead, future = np.split(keys, [length - steps], axis=1)
    other = games.random_keys(dataset.info, total, DELTA_STEPS, seed + 1)
    motion = MOVING_SHARE if protocol.in_motion else 0.0
    found = games.branch(dataset.info, count, skip, seed, lead, [future, other], protocol.prompt_frames, motion)
    return Material(
        frames=np.concatenate([found.prompts, found.frames[0]], axis=1),
        actions=np.concatenate([found.prompt_actions, found.actions[0]], axis=1),
        episodes=np.arange(len(found.prompts)),
        other=found.frames[1],
    )


def _recorded(dataset: Dataset, protocol: Protocol, count: int, skip: int, seed: int) -> Material:
    """Clips as long as the horizons, or as long as the episodes allow."""
    held_out = dataset.split("held_out")
    offered = [h for h in protocol.horizons if protocol.prompt_frames + h <= longest_clip(held_out, skip)]
    if not offered:
        raise GenieError(f"{dataset.path}: no held-out episode has {protocol.prompt_frames + 1} frames at skip {skip}; record more.")
    sampler = ClipSampler(held_out, protocol.prompt_frames + offered[-1], skip, seed)
    clips = clips_in_motion(sampler, min(count, sampler.choices))
    return of_clips(clips, held_out)


def of_clips(clips: Clips, held_out: SplitData) -> Material:
    """Recorded clips: those whose actions are all known, where any are such."""
    told = (clips.actions != UNKNOWN_ACTION).all(1)
    chosen = told if told.any() else ~told
    return Material(clips.frames[chosen], clips.actions[chosen], held_out.episode_of(clips.starts[chosen]), None)
