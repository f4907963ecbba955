"""The engine: how one frame of B rollouts is made, whatever runs the networks.

A `State` is all that a rollout is between two frames: the last two frames, what is remembered around them and the ring of past keys
and values. The engine knows no names and no files; `Rollout` gives it seeds, `World` a bundle. Back ends subclass `Engine` and run the
same graphs.
"""

from __future__ import annotations

import copy
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from genie.configs import ROPE_BASE, DynamicsConfig
from genie.runtime.codec import Codec
from genie.runtime.sampling import Sampling
from tokenizer.mosaic import Mosaic


@dataclass
class Memory:
    """Keys [L, B, N, H, d, R] and values [L, B, N, H, R, d] of the past R = context - 1 slots, in the back end's own arrays.

    A ring: slot s stands at place s mod R. Static buffers, nothing is concatenated.
    """

    keys: Any
    values: Any
    index: int = 0  # slots closed so far; the number of the slot being made
    oldest: int = 0  # the oldest slot that is still in the ring

    @property
    def shape(self) -> tuple[int, ...]:
        """[L, B, N, H, d, R]."""
        return tuple(self.keys.shape)

    def copy(self) -> Memory:
        """An independent copy, to the bit."""
        return replace(self, keys=copy.deepcopy(self.keys), values=copy.deepcopy(self.values))

    def close_slot(self, places: int) -> None:
        """Count the slot that was just written."""
        self.index += 1
        self.oldest = max(self.oldest, self.index - places)

    def rewind(self, slots: int) -> None:
        """Forget the last slots; what they had pushed out of the ring stays lost."""
        self.index -= slots


@dataclass
class State:
    """Of B rollouts in step: the last two frames and the memory of those before."""

    before: np.ndarray  # uint8 [B, H, W, 3]
    shown: Mosaic  # the newest frame, and what is remembered around it
    memory: Memory
    trail: np.ndarray  # int64 [B, K, 3]: the newest scrolls and their actions, see `genie.motion`; never changed in place
    settled: np.ndarray | None = None  # bool [B, N, G]: tokens of the newest slot that were known before its last sampling pass

    def copy(self) -> State:
        """An independent copy, to the bit."""
        return replace(self, memory=self.memory.copy())  # frames are never changed in place

    @property
    def frame(self) -> np.ndarray:
        """The newest frame, uint8 [B, H, W, 3]."""
        return self.shown.frame


@dataclass(frozen=True)
class Slot:
    """Where the frame being made stands in time."""

    place: int  # in the ring
    mask: np.ndarray  # float32 [R]: 0 for past slots in the context, -inf elsewhere
    rope: np.ndarray  # float32 [2, d]: cosines twice and sines twice of the slot's angles, the first half of the sines negative


@dataclass(frozen=True)
class Passes:
    """What each of the P sampling passes does: how many codes are known after it, how much chance is in the order."""

    temperature: float
    keep: np.ndarray  # int64 [P]
    order: np.ndarray  # float32 [P]


class Made(NamedTuple):
    """A new frame of B rollouts."""

    codes: np.ndarray  # int64 [B, P, G]
    motion: np.ndarray  # int64 [B, 2]: how the picture scrolled
    settled: np.ndarray  # bool [B, P, G]: codes known before the last pass
    frame: np.ndarray  # uint8 [B, H, W, 3]


class Laps:
    """Seconds that the parts of a step take, summed over steps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def start(self) -> None:
        """A step begins."""
        self._since = time.perf_counter()

    def end(self, part: str) -> None:
        """What came since the last mark was this part."""
        now = time.perf_counter()
        self.seconds[part] = self.seconds.get(part, 0.0) + now - self._since
        self._since = now


class Engine(ABC):
    """Makes frames. Its networks are the subclass's."""

    name: str  # of the back end
    codec: Codec

    def __init__(self, config: DynamicsConfig, codec: Codec) -> None:
        self.config, self.codec = config, codec
        self._places = config.context - 1
        pairs = config.head_width // 2
        self.laps: Laps | None = None  # set it to time the parts of a step
        self._lock = threading.Lock()  # rollouts of one world share the engine's buffers
        self._frequency = ROPE_BASE ** -(np.arange(0, 2 * pairs, 2, dtype=np.float64) / config.head_width)

    @property
    def noise_shape(self) -> tuple[int, int, int]:
        """Uniform numbers one pass needs for one rollout: [2, P, G], for the codes and for their order."""
        return (2, *self.codec.code_shape)

    @property
    def context(self) -> int:
        """Slots the dynamics can look back, the frame being made included."""
        return self.config.context

    @property
    def recall(self) -> int:
        """Slots after which nothing in the memory comes from an older one: each layer looks back over one ring, and the trail so far."""
        return max(self.config.layers * self._places, self.config.trail)

    def blank(self, before: np.ndarray, shown: Mosaic, slots: int) -> State:
        """The state after `slots` slots whose memory is lost; it is whole again once `recall` slots have been committed."""
        state = self.start(shown.frame)
        state.before, state.shown = before, shown
        state.memory.index, state.memory.oldest = slots, max(0, slots - self._places)
        return state

    def start(self, frame: np.ndarray) -> State:
        """The state of B rollouts that show their first frame, uint8 [B, H, W, 3]."""
        return State(frame, self.codec.shown(frame), self._memory(len(frame)), np.zeros((len(frame), self.config.trail, 3), np.int64))

    def step(
        self, state: State, actions: np.ndarray, noise: np.ndarray, sampling: Sampling, motion: np.ndarray | None = None
    ) -> np.ndarray:
        """Make the next frame of every rollout.

        Args:
            actions: int [B], rows of the action table.
            noise: float32 [B, passes, 2, P, G] in [0, 1).
            motion: int64 [B, 2], where the picture scrolls; None: where the dynamics expects it to.

        Returns:
            The tokens of the new frame, int64 [B, N, G]; `state.frame` is the frame itself.
        """
        with self._lock:
            if self.laps is not None:
                self.laps.start()
            made = self._make(state, self._slot(state.memory), actions, noise, self._passes(sampling), motion)
            self._lap("rest")
        state.memory.close_slot(self._places)
        state.trail = self.longer_trail(state.trail, actions, made.motion)
        state.before, state.shown = state.frame, state.shown.after(made.motion, made.frame)
        state.settled = self._with_motion(made.settled)
        return self.codec.pack(made.codes, made.motion)

    def commit(self, state: State, actions: np.ndarray, tokens: np.ndarray, frame: np.ndarray, settled: np.ndarray | None = None) -> None:
        """Put a known frame into the context: int [B], int [B, N, G], uint8 [B, H, W, 3].

        With the `settled` bool [B, N, G] of the step that drew the frame, the memory becomes what that step left, to the bit.
        """
        codes, motion = self.codec.unpack(tokens)
        known = np.ones(codes.shape, np.bool_) if settled is None else settled[:, : codes.shape[1]]
        with self._lock:
            self._force(state, self._slot(state.memory), actions, codes, known, motion)
        state.settled = self._with_motion(known)
        state.memory.close_slot(self._places)
        state.trail = self.longer_trail(state.trail, actions, motion)
        state.before, state.shown = state.frame, state.shown.after(motion, frame)

    def longer_trail(self, trail: np.ndarray, actions: np.ndarray, motion: np.ndarray) -> np.ndarray:
        """A trail [B, K, 3] with one more step in front: actions int [B], motion int [B, 2]."""
        newest = np.concatenate([motion + np.array(self.codec.reach), actions[:, None]], axis=1) + 1
        return np.concatenate([newest[:, None], trail], axis=1)[:, : self.config.trail]

    @abstractmethod
    def _memory(self, batch: int) -> Memory:
        """An empty ring for `batch` rollouts."""

    @abstractmethod
    def _make(self, state: State, slot: Slot, actions: np.ndarray, noise: np.ndarray, passes: Passes, motion: np.ndarray | None) -> Made:
        """The next frame and what it is made of; writes the keys and values of the last pass at the slot's place."""

    @abstractmethod
    def _force(self, state: State, slot: Slot, actions: np.ndarray, codes: np.ndarray, known: np.ndarray, motion: np.ndarray) -> None:
        """One pass with the `known` ones of given codes: writes its keys and values at the slot's place."""

    def _with_motion(self, settled: np.ndarray) -> np.ndarray:
        """Codes settled, bool [B, P, G] -> tokens settled, bool [B, N, G]: how the picture scrolls is settled before all passes."""
        rows = self.codec.token_shape[0] - settled.shape[1]
        return np.pad(settled, ((0, 0), (0, rows), (0, 0)), constant_values=True)

    def _lap(self, part: str) -> None:
        if self.laps is not None:
            self.laps.end(part)

    def _slot(self, memory: Memory) -> Slot:
        place = memory.index % self._places
        # The ring's places hold the slots index - R … index - 1, those that were overwritten or not yet written are hidden.
        held = memory.index - 1 - (memory.index - 1 - np.arange(self._places)) % self._places
        mask = np.where((held >= memory.oldest) & (held >= 0), np.float32(0), np.float32(-np.inf))
        angle = memory.index * self._frequency
        cosine, sine = np.cos(angle), np.sin(angle)
        rope = np.stack([np.concatenate([cosine, cosine]), np.concatenate([-sine, sine])])
        return Slot(place, mask, rope.astype(np.float32))

    def _passes(self, sampling: Sampling) -> Passes:
        total = self.codec.code_shape[0] * self.codec.code_shape[1]
        done = range(1, sampling.passes + 1)
        return Passes(
            sampling.temperature,
            np.array([sampling.kept_after(k, total) for k in done], np.int64),
            np.array([sampling.confidence_noise * (1 - k / sampling.passes) for k in done], np.float32),
        )
