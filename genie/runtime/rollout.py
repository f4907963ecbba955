"""Rollouts: frames made step by step, one rollout or B of them in one forward pass.

A rollout is a prompt, a seed and the actions given since; the same three give the same frames to the bit on one machine,
back end and thread count. Noise belongs to the frame number, so a restored snapshot goes on as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from genie.errors import GenieError
from genie.metrics import ALIKE_LEVELS
from genie.runtime.actions import Action, ActionTable
from genie.runtime.codec import Codec
from genie.runtime.engine import Engine, State
from genie.runtime.noise import uniform
from genie.runtime.sampling import Sampling
from tokenizer.mosaic import Mosaic, moved

BETWEEN = 32  # levels of 255 that a pixel may be off from any mixture of the paint and what stood under it, and still be one


@dataclass(frozen=True)
class _Past:
    """One past frame and what led to it, kept while it is in the context: `edit` puts changed pixels there."""

    frame: np.ndarray  # uint8 [B, H, W, 3]
    actions: np.ndarray  # int [B]
    codes: np.ndarray  # int [B, N, G]


@dataclass(frozen=True)
class Held:
    """Something painted that stays where it was put, scrolling with the picture: a frame with it and the frame as it was before it,
    uint8 [B, H, W, 3], and how far both have scrolled since, int64 [B, 2]."""

    painted: np.ndarray
    before: np.ndarray
    offset: np.ndarray

    @classmethod
    def of(cls, painted: np.ndarray, before: np.ndarray, part: np.ndarray | None = None) -> Held:
        """Just painted; `part`, bool [H, W]: only there it is held."""
        held = painted.copy() if part is None else np.where(part[..., None], painted, before)
        return cls(held, before.copy(), np.zeros((len(painted), 2), np.int64))

    def put_back(self, frames: np.ndarray) -> np.ndarray:
        """Frames with the paint again where it has faded into what stood under it; another colour is something in front, and stays."""
        painted, before = (moved(picture, self.offset) for picture in (self.painted, self.before))
        way, gone = (picture.astype(np.float32) - before for picture in (painted, frames))
        share = (way * gone).sum(-1, keepdims=True) / np.maximum((way * way).sum(-1, keepdims=True), 1)  # of the paint that is left
        mixed = np.abs(gone - np.clip(share, 0, 1) * way).max(-1, keepdims=True) <= BETWEEN
        off = np.abs(frames.astype(np.int16) - painted).max(-1, keepdims=True) > ALIKE_LEVELS
        return np.where(way.any(-1, keepdims=True) & mixed & off, painted, frames)

    def scrolled(self, motion: np.ndarray) -> Held:
        """After the picture has scrolled by int [B, 2]."""
        return replace(self, offset=self.offset + motion)

    def without(self, changed: np.ndarray) -> Held:
        """Without those pixels, bool [B, H, W, 1], of the present frame: something else was painted there."""
        return replace(self, painted=np.where(moved(changed, -self.offset), self.before, self.painted))


@dataclass(frozen=True)
class Recorded:
    """One step of one rollout as it was: `Rollout.relive` takes it again without drawing it."""

    frame: np.ndarray  # uint8 [H, W, 3]: what it made
    action: int
    tokens: np.ndarray  # int [N, G]
    settled: np.ndarray  # bool [N, G]: tokens known before the last sampling pass

    def _past(self) -> _Past:
        return _Past(self.frame[None], np.array([self.action]), self.tokens[None].astype(np.int64))


@dataclass(frozen=True)
class Snapshot:
    """Everything a rollout is at one moment; `restore` continues from it to the bit."""

    state: State
    tokens: np.ndarray
    index: int
    seeds: tuple[int, ...]
    salts: tuple[int, ...]
    sampling: Sampling
    history: tuple[_Past, ...]
    backend: str  # whose arrays the state holds
    held: tuple[Held, ...] = ()


@dataclass
class BatchRollout:
    """B rollouts in step. Made by `World.start_batch`; rows may differ from a lone rollout in the last bits, since
    matrix products of another size round differently."""

    engine: Engine
    table: ActionTable
    sampling: Sampling
    seeds: tuple[int, ...]
    state: State
    tokens: np.ndarray  # int [B, N, G]: codes of the current frames
    index: int = 0  # frames made since the prompt
    salts: tuple[int, ...] = ()
    history: list[_Past] = field(default_factory=list)
    held: tuple[Held, ...] = ()  # what was painted to stay

    @classmethod
    def begin(cls, engine: Engine, table: ActionTable, sampling: Sampling, prompts: np.ndarray, seeds: Sequence[int]) -> BatchRollout:
        """Start after the prompts: uint8 [B, T, H, W, 3] and B seeds."""
        batch, length = prompts.shape[:2]
        codec, first = engine.codec, max(0, length - engine.context - 1)
        before = prompts[:, : first + 1] if codec.config.mosaic else prompts[:, first : first + 1]  # only what it showed counts
        prompts = prompts[:, first:].copy()
        tokens = np.zeros((batch, *codec.token_shape), np.int64)
        state = engine.start(prompts[:, 0])
        state.shown = codec.watched(before)
        history = [_Past(prompts[:, 0], np.zeros(batch, np.int64), tokens)]
        if prompts.shape[1] > 1:
            codes = codec.encode(prompts, state.shown)
            # nobody knows the recorded action: a world that hears no other is told of none
            actions = codec.infer_actions(prompts) if table.latent else np.full((batch, prompts.shape[1] - 1), table.idle.id)
            for t in range(1, prompts.shape[1]):
                past = _Past(prompts[:, t], actions[:, t - 1], codes[:, t - 1])
                engine.commit(state, past.actions, past.codes, past.frame)
                history.append(past)
        state.shown = state.shown.guessing(codec.config.guess)
        return cls(engine, table, sampling, tuple(int(seed) for seed in seeds), state, tokens, salts=(0,) * batch, history=history)

    @property
    def frames(self) -> np.ndarray:
        """The current frames, uint8 [B, H, W, 3]: a copy, free to be drawn on."""
        return self.state.frame.copy()

    def step(self, actions: Sequence[Action | str | int]) -> np.ndarray:
        """One action for each rollout -> the next frames, uint8 [B, H, W, 3]."""
        if len(actions) != len(self.seeds):
            raise GenieError(f"{len(actions)} actions for {len(self.seeds)} rollouts; give one for each.")
        ids = np.array([self.table.find(action).id for action in actions])
        noise = np.stack(
            [
                uniform(seed, salt, self.index, (self.sampling.passes, *self.engine.noise_shape))
                for seed, salt in zip(self.seeds, self.salts, strict=True)
            ]
        )
        begun = self.state.copy() if self.held else None
        self.tokens = self.engine.step(self.state, ids, noise, self.sampling)
        self._remember(_Past(self.state.frame, ids, self.tokens))
        if begun is not None:
            self._put_back(begun)
        return self.frames

    def relive(self, step: _Past, settled: np.ndarray) -> None:
        """Take a step again whose codes and frame are known; `settled` bool [B, N, G] as that step left it."""
        self.engine.commit(self.state, step.actions, step.codes, step.frame, settled)
        self.tokens = step.codes
        self._remember(step)

    def _remember(self, step: _Past) -> None:
        self.index += 1
        if self.held:
            scrolled = self.engine.codec.motion(step.codes)
            self.held = tuple(held.scrolled(scrolled) for held in self.held)
        self.history.append(step)
        del self.history[: -self.engine.context - 2]  # every frame that a slot in the context has read

    def snapshot(self) -> Snapshot:
        """What `restore` needs to continue from here, to the bit."""
        history, name = tuple(self.history), self.engine.name
        return Snapshot(self.state.copy(), self.tokens, self.index, self.seeds, self.salts, self.sampling, history, name, self.held)

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot of this rollout (or of one of the same world and batch size)."""
        theirs, ours = snapshot.state, self.state
        if snapshot.backend != self.engine.name:
            raise GenieError(
                f"the snapshot was taken on the back end {snapshot.backend}, this is {self.engine.name}; restore it where it was taken."
            )
        if theirs.frame.shape != ours.frame.shape or theirs.memory.shape != ours.memory.shape:
            raise GenieError("the snapshot is of another world or batch size; restore it where it was taken.")
        self.state, self.tokens = snapshot.state.copy(), snapshot.tokens
        self.index, self.history, self.held = snapshot.index, list(snapshot.history), snapshot.held
        self.seeds, self.salts, self.sampling = snapshot.seeds, snapshot.salts, snapshot.sampling

    def edit(self, frames: np.ndarray, stick: int = 5, hold: bool | np.ndarray = False) -> None:
        """Put edited frames uint8 [B, H, W, 3] in place of the current ones and go on from them.

        The changed pixels are also put into the frames before, where the picture had them then, `stick` context frames in all, and those
        frames get the codes of what they show now: so the world takes them for something that came and stayed.

        Args:
            hold: whenever the world lets go of what was painted, put it back (see `Held`); bool [H, W]: only of these pixels.
        """
        if frames.shape != self.state.frame.shape or frames.dtype != np.uint8:
            raise GenieError(f"an edited frame must be uint8 {self.state.frame.shape[1:]}, not {frames.dtype} {frames.shape[1:]}.")
        if stick < 1:
            raise GenieError("stick is how many context frames take the edit; it must be 1 or more.")
        part = hold if isinstance(hold, np.ndarray) else None
        if part is not None and (part.dtype != np.bool_ or part.shape != frames.shape[1:3]):
            raise GenieError(f"what is held must be bool {frames.shape[1:3]}, not {part.dtype} {part.shape}.")
        codec, history = self.engine.codec, self.history
        shown = self.state.shown.showing(frames.copy())  # the caller may go on drawing
        changed = (frames != self.state.frame).any(axis=-1, keepdims=True)
        self.held = tuple(held.without(changed) for held in self.held)
        if part is not None or hold:
            self.held = (*self.held, Held.of(frames, self.state.frame, part))
        first, back = max(0, len(history) - stick), np.zeros((len(frames), 2), np.int64)
        backs = {}
        for past in range(len(history) - 1, first - 1, -1):
            patched = np.where(moved(changed, back), moved(frames, back), history[past].frame)
            back = back - codec.motion(history[past].codes)
            backs[past - 1] = back
            history[past] = replace(history[past], frame=patched)
        again = range(max(1, first), len(history))  # the steps to a changed frame
        touched = changed.any(axis=(1, 2))[..., None]
        for past in again:  # around the frames before lies what is remembered now
            told = codec.describe(shown.after(backs[past - 1], history[past - 1].frame), history[past].frame)
            history[past] = replace(history[past], codes=np.where(touched, told, history[past].codes))
        self.state.memory.rewind(len(again))
        self.state.before = history[max(0, again.start - 2)].frame
        self.state.trail = np.zeros_like(self.state.trail)
        for step in history[1 : again.start]:
            self.state.trail = self.engine.longer_trail(self.state.trail, step.actions, codec.motion(step.codes))
        for past in again:
            self.state.shown = shown.after(backs[past - 1], history[past - 1].frame)
            self.engine.commit(self.state, history[past].actions, history[past].codes, history[past].frame)
        self.state.shown = shown
        self.tokens = history[-1].codes

    def _put_back(self, begun: State) -> None:
        """What is held and has gone in the newest frame comes back: its cells get the codes of that, as if the step from `begun` had
        drawn them."""
        codec, step = self.engine.codec, self.history[-1]
        wanted = step.frame
        for held in self.held:
            wanted = held.put_back(wanted)
        changed = (wanted != step.frame).any(axis=-1)
        if not changed.any():
            return
        told = codec.describe(begun.shown, wanted)
        same_scroll = (codec.motion(told) == codec.motion(step.codes)).all(axis=-1)
        gone = codec.tokens_of(changed) & same_scroll[:, None, None]
        if gone.any():
            self.tokens = np.where(gone, told, step.codes)
            self.history[-1] = replace(step, frame=codec.paint(begun.shown, self.tokens), codes=self.tokens)
            step, settled, self.state = self.history[-1], self.state.settled, begun
            self.engine.commit(begun, step.actions, step.codes, step.frame, settled)


class Rollout:
    """One rollout: the batch of one, with the batch axis taken off. Made by `World.start`."""

    def __init__(self, batch: BatchRollout) -> None:
        self._batch = batch

    @property
    def frame(self) -> np.ndarray:
        """The current frame, uint8 [H, W, 3]."""
        return self._batch.frames[0]

    @property
    def tokens(self) -> np.ndarray:
        """Codes of the current frame, int [N, G] (zeros before the first step)."""
        return self._batch.tokens[0].copy()

    @property
    def index(self) -> int:
        """Frames made since the prompt."""
        return self._batch.index

    @property
    def seed(self) -> int:
        """Seed of the noise."""
        return self._batch.seeds[0]

    @property
    def salt(self) -> int:
        """Salt of the noise; another one is another roll of the same dice from here on."""
        return self._batch.salts[0]

    @salt.setter
    def salt(self, value: int) -> None:
        self._batch.salts = (value,)

    @property
    def settled(self) -> np.ndarray:
        """Which tokens were known before the last sampling pass, bool [N, G] (all, before the first step)."""
        settled = self._batch.state.settled
        return np.ones(self._batch.tokens.shape[1:], np.bool_) if settled is None else settled[0].copy()

    @property
    def sampling(self) -> Sampling:
        """How codes are drawn; may be changed between two steps."""
        return self._batch.sampling

    @sampling.setter
    def sampling(self, value: Sampling) -> None:
        self._batch.sampling = value

    def step(self, action: Action | str | int) -> np.ndarray:
        """Act, by `Action`, name or id -> the next frame, uint8 [H, W, 3].

        Raises:
            ActionError: the world has no such action.
        """
        return self._batch.step([action])[0]

    def snapshot(self) -> Snapshot:
        """What `restore` needs to continue from here, to the bit."""
        return self._batch.snapshot()

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot; going on from it equals never having stopped."""
        self._batch.restore(snapshot)

    @property
    def recall(self) -> tuple[int, int]:
        """(steps to `relive`, recorded steps before them) that rebuild the model's state at any later frame, to the bit."""
        return self._batch.engine.recall, self._batch.engine.context + 2

    def jump(self, index: int, past: Sequence[Recorded], shown: Mosaic) -> None:
        """Go to frame `index`, whose last steps and what it shows are given; the memory is whole again after `recall` steps of `relive`."""
        batch = self._batch
        slots = batch.state.memory.index - batch.index + index  # those of the prompt stay in the count
        batch.history = [step._past() for step in past]
        batch.state = batch.engine.blank(batch.history[-2].frame, shown, slots)
        batch.index, batch.tokens = index, batch.history[-1].codes

    def relive(self, step: Recorded) -> None:
        """Take a recorded step again: the state becomes what that step left, to the bit, in the time of one sampling pass."""
        self._batch.relive(step._past(), step.settled[None])

    @property
    def codec(self) -> Codec:
        """Frames to tokens and back."""
        return self._batch.engine.codec

    @property
    def shown(self) -> Mosaic:
        """The current frame with what is remembered around it, a batch of one."""
        return self._batch.state.shown

    @property
    def held(self) -> tuple[Held, ...]:
        """What was painted to stay, as batches of one."""
        return self._batch.held

    @held.setter
    def held(self, value: tuple[Held, ...]) -> None:
        self._batch.held = value

    def edit(self, frame: np.ndarray, stick: int = 5, hold: bool | np.ndarray = False) -> None:
        """Put an edited frame uint8 [H, W, 3] in place of the current one; `stick` context frames take the change.

        Args:
            hold: whenever the world lets go of what was painted, it is put back, for as long as this rollout lasts; bool [H, W]: only
                of these pixels.
        """
        self._batch.edit(frame[None], stick, hold)
