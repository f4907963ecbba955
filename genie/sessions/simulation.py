"""Simulation: the world's model, brought to any frame of a recording, to the bit.

The model's state at a frame is built again from the nearest state that is at hand on its path, by taking the recorded steps between them
again, each in one forced sampling pass (`Rollout.relive`). Where none is near, as in a session that was just opened, the record alone is
enough: after layers × (context - 1) steps nothing in the state is older than they are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import numpy as np

from genie.runtime.actions import Action
from genie.runtime.rollout import Held, Recorded, Snapshot
from genie.sessions.frames import Frames
from genie.sessions.recording import Place, Recording, step_of
from genie.sessions.states import SPACING, StateStore
from genie.world import World

KEPT_STATES = 8  # snapshots in memory, of places that were gone to: going there again takes a millisecond

Line = list[tuple[int, int, int]]  # `Recording.line`


class Simulation:
    """One rollout of a world with the recording's weights, standing at one frame of it.

    Args:
        store: keeps states along the way; without one, going back takes all the steps that the model recalls.
    """

    def __init__(self, recording: Recording, world: World, frames: Frames, store: StateStore | None = None) -> None:
        header = recording.header
        self._recording, self._frames = recording, frames
        self.rollout = world.start(recording.prompt, header.seed, **header.sampling.model_dump())
        self.place: Place = (0, 0)  # where the model's state stands: a branch and a frame that this branch holds
        self._origin = self.rollout.snapshot()
        self._states: OrderedDict[Place, Snapshot] = OrderedDict()
        self._store = store if self.rollout.recall[0] > SPACING else None  # else the record alone is as near
        self.relived = 0  # steps that the last `go` took again

    def step(self, branch: int, action: Action | int) -> np.ndarray:
        """Make the next frame, uint8 [H, W, 3], as a step of this branch; it must then be recorded before anything else is done."""
        self.take_on(branch)
        frame = self.rollout.step(action)
        self.place = (branch, self.place[1] + 1)
        self._pass(self.place)
        return frame

    def take_on(self, branch: int) -> None:
        """Draw as a branch does: its salt, its sampling."""
        found = self._recording.branch(branch)
        self.rollout.salt, self.rollout.sampling = found.salt, found.sampling

    def keep(self) -> None:
        """Remember the state, so that coming back takes a millisecond (as long as few others are remembered after it)."""
        self._keep(self.place, self.rollout.snapshot())

    def edit(self, branch: int, frame: np.ndarray, stick: int, hold: bool | np.ndarray) -> None:
        """Put an edited frame in place of the current one, as the beginning of this branch."""
        self.keep()
        self.rollout.edit(frame, stick, hold)
        self.place = (branch, self.place[1])

    def go(self, place: Place, fresh: bool = False) -> None:
        """Bring the model's state to a frame of the branch that holds it.

        Args:
            fresh: from the record alone, whatever is at hand.
        """
        for _ in self.steps_to(place, fresh):
            pass

    def steps_to(self, place: Place, fresh: bool = False) -> Iterator[None]:
        """`go`, a recorded step at a time; it must be taken to its end."""
        self.relived = 0
        if place == self.place and not fresh:
            return
        line = self._recording.line(*place)
        recall, past = self.rollout.recall
        edits = [first for number, first, _ in line if number in self._recording.edits]
        begin = place[1] - recall
        for start in reversed(edits):  # what an edit did to the frames before it is done again, so begin before it
            if begin - past < start <= begin:
                begin = start - 1
        at = self._nearest(line, max(0, begin), begin < past, fresh)
        if at is None:
            at = (self._recording.owner(place[0], begin), begin)
            self.rollout.jump(
                begin,
                [self._recorded(place[0], index) for index in range(begin - past + 1, begin + 1)],
                self._frames.shown(place[0], begin),
            )
            yield from self._relive(line, at, whole=False)
        else:
            yield from self._relive(line, at)
        self.rollout.held = self._held(line)
        self.place = place
        self.keep()

    def _nearest(self, line: Line, least: int, early: bool, fresh: bool) -> Place | None:
        """The latest place on a path, from frame `least` on, whose state is at hand, restored; None: there is none.

        Where the path is `early`, it can always begin at frame 0.
        """
        order = {number: position for position, (number, _, _) in enumerate(line)}

        def on_path(place: Place) -> bool:
            if place[0] not in order or place[1] < least:
                return False
            _, first, last = line[order[place[0]]]
            return first <= place[1] <= last

        places = [] if fresh else [place for place in (self.place, *self._states, *(self._store or ())) if on_path(place)]
        if early and not places:
            places = [(0, 0)]
        if not places:
            return None
        best = max(places, key=lambda place: (place[1], order[place[0]]))
        if fresh or best != self.place:
            self.rollout.restore(self._origin if fresh else self._state(best))
        return best

    def _state(self, place: Place) -> Snapshot:
        """The state at a place where it is at hand; the first one always is."""
        if place in self._states:
            return self._states[place]
        return self._store.get(place) if self._store is not None and place in self._store else self._origin

    def _relive(self, line: Line, at: Place, whole: bool = True) -> Iterator[None]:
        """Take the recorded steps and edits of a path from a place on it to its end; `whole`: the state there was."""
        begun = False
        for number, first, last in line:
            if not begun:
                begun = number == at[0]
            elif number in self._recording.edits:
                self.rollout.edit(self._recording.edits[number], self._recording.branch(number).stick)
            if begun:
                for index in range(max(first, at[1]) + 1, last + 1):
                    self.rollout.relive(self._recorded(number, index))
                    self.relived += 1
                    if whole:
                        self._pass((number, index))
                    yield

    def _held(self, line: Line) -> tuple[Held, ...]:
        """What was painted to stay on a path, where it is at the path's end."""
        record, codec = self._recording, self.rollout.codec
        held: list[Held] = []
        for number, first, last in line if any(record.branch(number).hold for number, _, _ in line) else ():
            branch = record.branch(number)
            if number in record.edits and branch.parent is not None:
                painted, before = record.edits[number][None], self._frames.at(branch.parent, first)[None]
                changed = (painted != before).any(axis=-1, keepdims=True)
                held = [one.without(changed) for one in held]
                if branch.hold:
                    held.append(Held.of(painted, before, record.parts.get(number)))
            scrolled = codec.motion(record.rows(number)["tokens"][: last - first]).sum(axis=0)[None]
            held = [one.scrolled(scrolled) for one in held]
        return tuple(held)

    def _recorded(self, branch: int, index: int) -> Recorded:
        """A step as the rollout takes it, its frame as it was before an edit."""
        owner = self._recording.owner(branch, index)
        while owner in self._recording.edits and index == self._recording.branch(owner).start:
            parent = self._recording.branch(owner).parent
            assert parent is not None
            owner = self._recording.owner(parent, index)
        step = step_of(self._recording, owner, index)
        return Recorded(self._frames.at(owner, index), step.action, step.tokens, step.settled)

    def _pass(self, place: Place) -> None:
        """A state on the way, kept in the file if it is time for one."""
        if self._store is not None and place[1] % SPACING == 0 and place not in self._store:
            self._store.put(place, self.rollout.snapshot())

    def _keep(self, place: Place, state: Snapshot) -> None:
        self._states[place] = state
        self._states.move_to_end(place)
        while len(self._states) > KEPT_STATES:
            self._states.popitem(last=False)
