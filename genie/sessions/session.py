"""Session: a recording that is being played: a tree of branches, a cursor in it, and the world's model standing there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genie.errors import GenieError, SessionError
from genie.metrics import ALIKE_LEVELS, still_painted
from genie.runtime.actions import Action
from genie.runtime.rollout import Rollout
from genie.runtime.sampling import Sampling
from genie.sessions import recording as records
from genie.sessions.archive import save
from genie.sessions.format import KEY_FRAME_EVERY, MAX_PROMPT_FRAMES, MAX_STICK, NO_TIME, Branch, Header, Kind, key_frame_png, pixel_hash
from genie.sessions.frames import Frames
from genie.sessions.journal import Journal, is_journal
from genie.sessions.reading import check_same_tokenizer, check_same_weights, read_session
from genie.sessions.recording import Recording
from genie.sessions.simulation import Simulation
from genie.sessions.states import SPACING, StateStore
from genie.world import World

PERSISTENCE_FRAMES = 30
PREPARED = 9_000  # frames, ten minutes: they fit into the file of states
PREPARED_AT_ONCE = 32 * SPACING  # frames: the beginning of each such part takes as many steps as the model recalls
STEPS_OF_A_SLICE = 4


class Session:
    """A play: branches, a cursor, and the world's model standing at the cursor. Made by `start` or `open`; for one thread."""

    def __init__(self, recording: Recording, world: World, journal: Journal | None = None) -> None:
        self.world, self.recording, self.journal = world, recording, journal
        self._frames = Frames(recording, world.engine.codec)
        self._states = StateStore(journal.folder.parent if journal is not None else None)
        same = recording.header.world.weights == world.manifest.weights_digest
        self._simulation = Simulation(recording, world, self._frames, self._states) if same else None

    @classmethod
    def start(cls, world: World, prompt: Any = None, seed: int = 0, *, journal: Path | None = None, **sampling: Any) -> Session:
        """Begin to play; `prompt`, `seed` and `sampling` as of `World.start`. Of a long prompt the last 256 frames count.

        Args:
            journal: a folder that does not exist yet, where everything is written down at once.

        Raises:
            GenieError: the prompt or a sampling value is wrong.
            SessionError: the journal's folder is taken.
        """
        frames = world.prompt_frames(prompt)[-MAX_PROMPT_FRAMES:].copy()
        chosen = world.sampling.override(sampling)
        recording = Recording(Header.new(world, seed, chosen, len(frames)), frames)
        recording.add_branch(Branch(id=0, sampling=chosen))
        return cls(recording, world, Journal.begin(journal, recording) if journal is not None else None)

    @classmethod
    def open(cls, path: str | Path, world: World, *, journal: Path | None = None, watch: bool = False) -> Session:
        """Go on with a session where its cursor is.

        Args:
            path: a .session file, or a journal's folder (which is then written on, unless `journal` names a new one).
            journal: a folder that does not exist yet.
            watch: open a session that was made with other weights too, if the tokenizer is the same: every frame of it can be looked at,
                marked and exported, but nothing can be done in it that needs the model (`watched`).

        Raises:
            SessionError: the session is damaged, or was made with other weights.
        """
        path, log = Path(path), None
        recording = read_session(path)
        if watch:
            check_same_tokenizer(recording, world.manifest, path)
        else:
            check_same_weights(recording, world, path)
        if is_journal(path) and journal is None:
            recording, log = Journal.resume(path)
        elif journal is not None:
            log = Journal.begin(journal, recording)
        session = cls(recording, world, log)
        session.seek(session.index)
        return session

    @property
    def watched(self) -> bool:
        """Whether other weights made it: its frames are painted from their codes, and acting in it is refused."""
        return self._simulation is None

    @property
    def seed(self) -> int:
        """Seed of the noise."""
        return self.recording.header.seed

    @property
    def branch(self) -> int:
        """Id of the branch the cursor is on."""
        return self.recording.cursor[0]

    @property
    def index(self) -> int:
        """Number of the frame at the cursor; 0 is the prompt's last frame."""
        return self.recording.cursor[1]

    @property
    def frame(self) -> np.ndarray:
        """The frame at the cursor, uint8 [H, W, 3]."""
        return self.frame_at(self.index)

    @property
    def salt(self) -> int:
        """Salt of the noise at the cursor."""
        return self._here().salt

    @property
    def sampling(self) -> Sampling:
        """How codes are drawn at the cursor."""
        return self._here().sampling

    @property
    def tree(self) -> tuple[Branch, ...]:
        """All branches by id."""
        return self.recording.tree

    @property
    def steps_again(self) -> int:
        """Recorded steps that the last `seek` took again to restore the model's state."""
        return self._simulation.relived if self._simulation is not None else 0

    def path(self, branch: int | None = None) -> records.Path:
        """The steps from the root to the end of a branch (default: the cursor's)."""
        return self.recording.path(self.branch if branch is None else branch)

    def frame_at(self, index: int, branch: int | None = None) -> np.ndarray:
        """Frame `index` on the path to a branch (default: the cursor's), uint8 [H, W, 3]; the cursor and the model stay."""
        number = self.branch if branch is None else branch
        if not 0 <= index <= self.recording.branch(number).end:
            raise SessionError(f"the path to branch {number} has the frames 0 … {self.recording.branch(number).end}, not {index}.")
        return self._frames.at(number, index)

    def surroundings(self, index: int | None = None) -> np.ndarray | None:
        """Frame `index` on the cursor's path (default: the cursor's) in the middle of what the world remembers around it, uint8
        [H+2M, W+2M, 4] with an alpha of 255 where it has been in view; None: this world remembers nothing around its picture."""
        if not self.world.manifest.tokenizer.mosaic:
            return None
        return self._frames.shown(self.branch, self.index if index is None else index).with_alpha[0]

    def step(self, action: Action | str | int, keys: Sequence[str] = (), latency_ms: float | None = None) -> np.ndarray:
        """Act at the cursor -> the next frame, uint8 [H, W, 3].

        Where the branch already goes on, a new branch begins: nothing is thrown away.

        Args:
            keys: the raw keys that were held, for the record.
            latency_ms: from the oldest key event to now, for the record.

        Raises:
            ActionError: the world has no such action.
        """
        found = self.world.action_table.find(action)
        model, number = self._model(), self._branch_to_write()
        controls = self.recording.controls_number(keys)
        began = time.perf_counter()
        frame = model.step(number, found)
        seconds = time.perf_counter() - began
        row = np.zeros((), self.recording.row)
        row["action"], row["controls"] = found.id, controls
        row["tokens"], row["settled"] = model.rollout.tokens, np.packbits(model.rollout.settled)
        row["pixels"], row["step"], row["latency"] = pixel_hash(frame), _tenths(seconds * 1000), _tenths(latency_ms)
        self.recording.append(number, row)
        self._frames.put(self.recording.cursor, frame)
        if self.index % KEY_FRAME_EVERY == 0:
            self.recording.add_key_frame(self.recording.cursor, key_frame_png(model.rollout.shown))
        return frame

    def seek(self, index: int, branch: int | None = None) -> None:
        """Go to frame `index` on the path to a branch (default: the cursor's): the model's state there is restored to the bit."""
        number = self.branch if branch is None else branch
        target = self.recording.branch(number)
        if target.kind == "bookmark" and target.parent is not None:
            number = target.parent
        if not 0 <= index <= target.end:
            raise SessionError(f"the path to branch {number} has the frames 0 … {target.end}, not {index}.")
        if self._simulation is not None:
            self._simulation.go((self.recording.owner(number, index), index))
        if (number, index) != self.recording.cursor:
            self.recording.set_cursor((number, index))

    def prepare(self) -> Iterator[int]:
        """Keep states along the path to the cursor, so that going back is as quick in an opened session as in one that was just played.

        The newest part comes first. Yields the frames still to do, every few steps; may be given up between any two.
        """
        if self._simulation is None:
            return
        model = Simulation(self.recording, self.world, self._frames, self._states)
        branch, end = self.recording.cursor
        if model.rollout.recall[0] <= SPACING or self._states.full:
            return
        for last in range(end, max(0, end - PREPARED), -PREPARED_AT_ONCE):
            for index in range(max(0, last - PREPARED_AT_ONCE) // SPACING * SPACING, last + 1, SPACING):
                place = (self.recording.owner(branch, index), index)
                if place not in self._states:
                    for count, _ in enumerate(model.steps_to(place), start=1):
                        if count % STEPS_OF_A_SLICE == 0:
                            yield last
                    self._states.put(place, model.rollout.snapshot())

    def undo_to_branch_point(self) -> None:
        """Go back to where the cursor's branch left its parent; on the root, to frame 0."""
        branch = self._here()
        self.seek(branch.start, branch.parent)

    def reroll(self, count: int = 1) -> list[int]:
        """New branches from the cursor, each under a salt of its own; the cursor stays. They get frames by going there and stepping."""
        if not 1 <= count <= 1000:
            raise GenieError(f"re-roll {count} times? Choose 1 to 1000.")
        return [self._begin("re-roll", salt=self._fresh_salt()) for _ in range(count)]

    def reroll_take(self, count: int = 1, actions: Sequence[Action | str | int] | None = None) -> Iterator[tuple[int, int]]:
        """Re-roll the rest of a take: its actions from the cursor on are played again under new salts, `count` times.

        Args:
            actions: what to play; default: what the cursor's branch does after the cursor.

        Yields:
            (branch, frames it has) after each frame, so that the caller can show it, do other things, or stop. The cursor is back
            where it was afterwards.
        """
        origin = self.recording.cursor
        rest = self.recording.path(self.branch).actions[self.index :] if actions is None else actions
        todo = [self.world.action_table.find(action) for action in rest]
        try:
            for _ in range(count):
                self.seek(origin[1], origin[0])
                [number] = self.reroll()
                self.seek(origin[1], number)
                for done, action in enumerate(todo, start=1):
                    self.step(action)
                    yield number, done
        finally:
            self.seek(origin[1], origin[0])

    def resample(self, **sampling: Any) -> int:
        """Draw codes otherwise from the cursor on (passes, temperature, …): begins a branch, goes there and returns its id."""
        number = self._begin("sampling", sampling=self.sampling.override(sampling))
        self.recording.set_cursor((number, self.index))
        return number

    def edit(self, frame: np.ndarray, stick: int = 5, hold: bool | np.ndarray = False) -> int:
        """Put an edited frame uint8 [H, W, 3] in place of the one at the cursor: begins a branch, goes there and returns its id.

        Args:
            stick: how many context frames take the edit, 1 to 10,000.
            hold: whenever the world lets go of what was painted, put it back; on this branch and those that grow from it. bool [H, W]:
                only of these pixels.
        """
        if not 1 <= stick <= MAX_STICK:
            raise GenieError(f"stick is how many context frames take the edit: 1 to {MAX_STICK:,}, not {stick}.")
        model = self._model()
        model.go((self._owner(), self.index))
        model.edit(len(self.recording), frame, stick, hold)  # refuses a wrong frame before anything is noted
        part = hold.copy() if isinstance(hold, np.ndarray) and hold.any() else None
        number = self._begin("edit", edit=frame.copy(), part=part, stick=stick, hold=bool(np.any(hold)))
        self.recording.set_cursor((number, self.index))
        return number

    def edit_persistence(self, branch: int | None = None, frames: int = PERSISTENCE_FRAMES) -> float | None:
        """Share of the edited pixels that still look like what was painted (`genie.metrics.still_painted`) `frames` frames after the edit.

        Looks at the newest edit on the path to a branch (default: the cursor's), moved as the view has scrolled since, and of an edit that
        is held in part at that part. None where there is no edit, the path does not go so far, or nothing of it is in the view any more.
        """
        number = self.branch if branch is None else branch
        edits = [part[0] for part in self.recording.line(number) if part[0] in self.recording.edits]
        end = self.recording.branch(number).end
        if not edits or self.recording.branch(edits[-1]).start + frames > end:
            return None
        edit = self.recording.branch(edits[-1])
        last = edit.start + frames
        assert edit.parent is not None
        return _still_there(
            self.recording.edits[edit.id],
            self._frames.at(edit.parent, edit.start),
            self.recording.parts.get(edit.id),
            self._frames.at(number, last),
            self._scrolled(self.recording.path(number).rows["tokens"][edit.start : last]),
        )

    def try_edit(
        self, frame: np.ndarray, stick: int = 5, hold: bool | np.ndarray = False, frames: int = PERSISTENCE_FRAMES
    ) -> float | None:
        """What `edit_persistence` would be if this edit was made here and nobody acted for `frames` frames; nothing is recorded."""
        before, idle = self.frame, self.world.action_table.idle
        made, tokens = self._ahead(idle, frames, lambda rollout: rollout.edit(frame, stick, hold))
        return _still_there(frame, before, hold if isinstance(hold, np.ndarray) else None, made[-1], self._scrolled(tokens))

    def ahead(self, action: Action | str | int, frames: int) -> np.ndarray:
        """What `step` would give if this action were held from the cursor on: uint8 [frames, H, W, 3], to the bit; nothing is recorded.

        Raises:
            ActionError: the world has no such action.
            GenieError: fewer than one frame is asked for.
        """
        if frames < 1:
            raise GenieError(f"look {frames} frames ahead? Ask for 1 or more.")
        return self._ahead(self.world.action_table.find(action), frames)[0]

    def bookmark(self, label: str = "") -> int:
        """Mark the cursor's place; returns the id to `seek` to."""
        return self._begin("bookmark", label=label)

    def label(self, branch: int, text: str) -> None:
        """Name a branch."""
        self.recording.change(branch, label=text[:200])

    def prune(self, branch: int, pruned: bool = True) -> None:
        """Put a branch and all that grows from it out of sight (or back): it stays in the file.

        Raises:
            SessionError: the root, or a branch that the cursor is on.
        """
        found = {branch}
        for other in self.tree:
            if other.parent in found:
                found.add(other.id)
        if branch == 0:
            raise SessionError("the first branch cannot be pruned; prune what grows from it.")
        if pruned and any(part[0] in found for part in self.recording.line(self.branch, self.index)):
            raise SessionError(f"the cursor is on branch {branch}; leave it first (undo goes to the branch point).")
        for number in sorted(found):
            self.recording.change(number, pruned=pruned)

    def save(self, path: str | Path) -> None:
        """Write the whole session as one .session file, whole or not at all."""
        save(self.recording, Path(path))

    def close(self, remove_journal: bool = False, recoverable: bool = False) -> None:
        """End the session; what was played stays in its journal.

        Args:
            remove_journal: it goes, because the session was saved.
            recoverable: it is listed with those of crashed sessions, because the session could not be saved.
        """
        if self.journal is not None:
            if remove_journal:
                self.journal.remove()
            else:
                self.journal.close(ended=not recoverable)
            self.journal = self.recording.log = None
        self._frames.close()
        self._states.close()

    def _model(self) -> Simulation:
        """The world's model, standing in the recording.

        Raises:
            SessionError: other weights made the recording.
        """
        if self._simulation is None:
            made = self.recording.header.world
            raise SessionError(
                f"this session was made with other weights of {made.name!r} ({made.weights[:12]}): it can be watched, marked and exported, "
                "not gone on with; a new session can begin with its frames."
            )
        return self._simulation

    def _owner(self) -> int:
        return self.recording.owner(*self.recording.cursor)

    def _here(self) -> Branch:
        """The branch whose salt and sampling hold at the cursor, and which a new branch leaves."""
        number, index = self.recording.cursor
        branch = self.recording.branch(number)
        return branch if index >= branch.start else self.recording.branch(self._owner())

    def _branch_to_write(self) -> int:
        """The branch that the next step belongs to, with the model at its end."""
        number, index = self.recording.cursor
        self._model().go((self._owner(), index))
        return number if index == self.recording.branch(number).end else self._begin("branch")

    def _begin(self, kind: Kind, edit: np.ndarray | None = None, part: np.ndarray | None = None, **fields: Any) -> int:
        """A branch that leaves the cursor's path at the cursor; it starts from a stored picture."""
        if kind != "bookmark":
            self._model()  # nothing grows where nobody can act
        owner, parent = self._owner(), self._here()
        if self.index > self.recording.branch(owner).start and (owner, self.index) not in self.recording.key_frames:
            self.recording.add_key_frame((owner, self.index), key_frame_png(self._frames.shown(owner, self.index)))
        inherited = {"salt": parent.salt, "sampling": parent.sampling}
        branch = Branch(id=len(self.recording), parent=parent.id, start=self.index, kind=kind, **{**inherited, **fields})
        return self.recording.add_branch(branch, edit, part).id

    def _ahead(
        self, action: Action, frames: int, first: Callable[[Rollout], object] = lambda rollout: None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Frames and tokens of steps from the cursor on, with its branch's dice, after something else was done."""
        model = self._model()
        model.go((self._owner(), self.index))
        rollout = model.rollout
        here = rollout.snapshot()
        model.take_on(self._here().id)
        first(rollout)
        steps = [(rollout.step(action), rollout.tokens) for _ in range(frames)]
        rollout.restore(here)
        made, tokens = (np.stack(part) for part in zip(*steps, strict=True))
        return made, tokens

    def _fresh_salt(self) -> int:
        return 1 + max(branch.salt for branch in self.tree)

    def _scrolled(self, tokens: np.ndarray) -> np.ndarray:
        """How far the picture moves over the steps that tokens [T, N, G] tell of, int [2]."""
        return self.world.engine.codec.unpack(tokens)[1].sum(axis=0)


def _still_there(painted: np.ndarray, before: np.ndarray, part: np.ndarray | None, later: np.ndarray, scrolled: np.ndarray) -> float | None:
    """Share of what was painted (`part` of it, bool [H, W], if given) that is there in a later frame, as far as it is in the view."""
    far = np.abs(painted.astype(np.int16) - before).max(axis=-1)
    rows, columns = np.nonzero((far > min(ALIKE_LEVELS, int(far.max()) - 1)) & (True if part is None or not part.any() else part))
    height, width = painted.shape[:2]
    there = rows + scrolled[0], columns + scrolled[1]
    seen = (there[0] >= 0) & (there[0] < height) & (there[1] >= 0) & (there[1] < width)
    if not seen.any():
        return None
    old, new = (rows[seen], columns[seen]), (there[0][seen], there[1][seen])
    return float(still_painted(later[new], painted[old], before[old]).mean())


def _tenths(milliseconds: float | None) -> int:
    """Milliseconds -> units of 0.1 ms, as they are kept."""
    return NO_TIME if milliseconds is None else min(NO_TIME - 1, max(0, round(milliseconds * 10)))
