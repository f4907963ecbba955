"""Two replays: exact, from the recorded codes and key frames; and verifying, which lets the world make every frame again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from genie.runtime.codec import Codec
from genie.sessions.format import pixel_hash
from genie.sessions.frames import Frames
from genie.sessions.recording import Place, Recording
from genie.sessions.simulation import Simulation
from genie.world import World

Progress = Callable[[int, int], None]  # frames done, frames in all


@dataclass(frozen=True)
class Outcome:
    """What a replay found."""

    frames: int  # compared
    branches: int
    different: int  # frames with other pixels than were shown; a verification stops at the first
    first: Place | None  # the first of them: its branch and number

    @property
    def equal(self) -> bool:
        """Whether every frame is the one that was shown, to the bit."""
        return self.different == 0


def replay(recording: Recording, codec: Codec, progress: Progress = lambda done, total: None) -> Outcome:
    """Paint every frame of every branch from its codes, or read its key frame, and compare it with the hash of what was shown.

    On the machine that recorded it every frame is the same to the bit. Where the tokenizer's sums round otherwise, a frame may be a level
    off in some pixels, until the next key frame.
    """
    done = 0
    with closing(Frames(recording, codec)) as frames:
        for branch in recording.tree:
            for index in range(branch.start + 1, branch.end + 1):
                frames.at(branch.id, index)
                done += 1
                progress(done, recording.frames)
        return Outcome(done, len(recording), len(frames.different), min(frames.different, default=None))


def verify(recording: Recording, world: World, progress: Progress = lambda done, total: None) -> Outcome:
    """Let the world make every frame of every branch again, and compare pixels and codes; stops at the first difference.

    The world must have the weights that the recording was made with (`check_same_weights`), and run on the same back end and machine for
    its frames to be equal: others round differently.
    """
    done = 0
    with closing(Frames(recording, world.engine.codec)) as frames:
        model = Simulation(recording, world, frames)
        for branch, index in _order(recording, model):
            row = recording.rows(branch)[index - recording.branch(branch).start - 1]
            frame = model.step(branch, int(row["action"]))
            if pixel_hash(frame) != int(row["pixels"]) or not np.array_equal(model.rollout.tokens, row["tokens"]):
                return Outcome(done, len(recording), 1, (branch, index))
            frames.put((branch, index), frame)
            done += 1
            progress(done, recording.frames)
    return Outcome(done, len(recording), 0, None)


def _order(recording: Recording, model: Simulation) -> Iterator[Place]:
    """Every recorded frame, branches as soon as they leave, so that the model's state there is at hand; the model stands before it."""
    leaving: dict[Place, list[int]] = defaultdict(list)
    for branch in recording.tree:
        if branch.parent is not None:
            leaving[branch.parent, branch.start].append(branch.id)
    open_at: list[Place] = [(0, 0)]
    while open_at:
        number, index = open_at.pop()
        model.go((recording.owner(number, index), index))
        for at in range(index, recording.branch(number).end + 1):
            if leaving.get((number, at)):
                open_at += [(number, at), (leaving[number, at].pop(), at)]
                model.keep()
                break
            if at < recording.branch(number).end:
                yield number, at + 1
