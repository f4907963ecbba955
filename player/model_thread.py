"""The model thread: owns the session, keeps the world's pace, does the window's work in between. The window never waits for it.

It sleeps unless a frame is due or work waits. Frames are due at absolute deadlines; a late one re-anchors them, so that there is
never a burst to catch up.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from genie.errors import GenieError
from genie.runtime.actions import Action
from genie.sessions.journal import Journal
from genie.sessions.session import PERSISTENCE_FRAMES, Session
from genie.world import World
from player.controls import ActionMap
from player.drivers import DRIVERS, Policy, Replay
from player.jobs import Job, JobQueue
from player.latch import InputLatch, Reading
from player.paint import Painted
from player.settings import Mode

WINDOW = 120  # steps that the figures look back over
STRIP = 10  # pictures of the film strip
SLOW = 0.6  # of the world's rate: below it turn-based play is offered
REWIND = ((5.0, 8), (2.0, 4), (0.0, 2))  # seconds held -> frames back for each frame of the world's rate


@dataclass(frozen=True, eq=False)
class Shown:
    """One frame and what led to it."""

    frame: np.ndarray  # uint8 [H, W, 3]
    index: int
    branch: int
    action: str
    since: float | None  # time.perf_counter() of the oldest key event that it answers
    salt: int = 0
    around: np.ndarray | None = None  # `Session.surroundings`, where they are looked at


@dataclass
class Figures:
    """How the model keeps up."""

    step_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    finished: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    key_to_frame: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))  # seconds
    key_to_screen: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))  # seconds, noted by the window

    @property
    def rate(self) -> float:
        """Frames a second over the last steps."""
        times = list(self.finished)
        return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else 0.0

    def milliseconds(self, percent: float) -> float:
        """A percentile of the step times."""
        times = list(self.step_seconds)
        return float(np.percentile(times, percent) * 1000) if times else 0.0


@dataclass(frozen=True, eq=False)
class Facts:
    """What stays the same in a session."""

    seed: int
    prompt_length: int  # frames
    first: np.ndarray  # the frame that was shown first, uint8 [H, W, 3]


@dataclass
class Take:
    """A recording between two presses of the record key."""

    branch: int
    first: int
    last: int = -1


class Companion(Protocol):
    """What runs beside the world under the same actions: the real game."""

    def step(self, action: str, made: np.ndarray) -> None:
        """One frame of it; `made` is the world's."""


class ModelThread:
    """Steps the session at absolute deadlines; sleeps while paused. Everything public may be called from the window's thread."""

    def __init__(self, keep: Callable[[Session], None] = lambda session: None) -> None:
        """`keep` is called with a session before it is closed."""
        self._keep = keep
        self._wake = threading.Condition()
        self.latch = InputLatch(self.nudge)
        self._jobs = JobQueue()
        self._stopping = False
        self._paused = True
        self._singles = 0
        self._rewinding_since: float | None = None
        self._view: int | None = None  # frame looked at, when it is not the session's own cursor
        self._driver: Policy | Replay | None = None
        self._stopped: Journal | None = None  # that the user was told of
        self._checks: set[int] = set()  # edits' branches that are to be looked at again
        self.session: Session | None = None  # the model thread's alone
        self.map: ActionMap | None = None
        self.mode: Mode = "real time"
        self.hurry = False  # the fast key is held
        self.speed = 1.0
        self.driver = "human"
        self.watched = False  # the session cannot be acted in, only looked at
        self.take: Take | None = None  # that is being recorded
        self.looks_around = False  # what is remembered around the picture is shown with it
        self.last_take: Take | None = None  # of this session
        self.companion: Companion | None = None
        self.figures = Figures()
        self.newest: Shown | None = None
        self.facts: Facts | None = None
        self.strip: tuple[tuple[int, np.ndarray], ...] = ()
        self.tip = 0  # last frame of the branch that is shown
        self.notes: deque[str] = deque(maxlen=8)  # for the user
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)

    # What the window asks for.

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    @property
    def world(self) -> World | None:
        """The world that is being played."""
        return self.map.world if self.map is not None else None

    @property
    def paused(self) -> bool:
        """Whether time stands still."""
        return self._paused

    @property
    def rewinding(self) -> bool:
        """Whether time runs backwards."""
        return self._rewinding_since is not None

    @property
    def target(self) -> float:
        """Frames a second that are aimed at in real time."""
        return (self.world.frame_rate if self.world is not None else 15.0) * self.speed

    @property
    def slow(self) -> bool:
        """Whether real time cannot be kept here."""
        needed = SLOW * self.target / max(1.0, self.speed)  # to play quicker than the world is a wish, not a need
        return self.mode == "real time" and len(self.figures.finished) >= 30 and 0 < self.figures.rate < needed

    def submit(self, job: Job) -> Job:
        """Have work done in the model thread, between frames."""
        self._jobs.add(job)
        self.nudge()
        return job

    def cancel(self, key: str) -> None:
        """Give up work that was asked for under this key."""
        self._jobs.cancel(key)

    def finish_jobs(self) -> list[Job]:
        """Call back for the work that is done."""
        return self._jobs.finish()

    def nudge(self) -> None:
        """Look again at what is to be done."""
        with self._wake:
            self._wake.notify()

    def pause(self, paused: bool) -> None:
        """Stop or go on; what was tapped while the world stood still is forgotten."""
        with self._wake:
            self._paused = paused
            self._rewinding_since = None
            self.latch.forget_taps()
            self._wake.notify()
        if paused:
            self.submit(Job(self._prepare, key="states"))

    def step(self) -> None:
        """Make one frame and stand still."""
        with self._wake:
            self._paused = True
            self._singles += 1
            self._wake.notify()

    def rewind(self, on: bool) -> None:
        """Run backwards along the branch for as long as it is on."""
        with self._wake:
            self._rewinding_since = time.perf_counter() if on else None
            self._wake.notify()

    def close(self) -> None:
        """End the thread after the step it is in, and the session with it."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    # Called in the model thread only: by jobs.

    def play(self, session: Session | None, companion: Companion | None = None) -> None:
        """Take over a session, closing the one before; a companion gets every action too. Time stands still in it at first."""
        with self._wake:
            self._paused, self._rewinding_since, self._singles = True, None, 0
        if self.session is not session:
            self._close_session()
        self.session = session
        self.map = ActionMap(session.world) if session is not None else None
        self._view, self._checks, self.companion = None, set(), companion
        self.take = self.last_take = None
        self.watched = session is not None and session.watched
        self.hand_over("human")
        self.figures = Figures()
        self.error = None
        if session is not None:
            self.facts = Facts(session.seed, session.recording.header.prompt_frames, session.frame_at(0))
            self.show("")
        else:
            self.newest = self.facts = None

    def _prepare(self) -> Iterator[int]:
        """While time stands still: keep states of an opened session, so that going back is quick."""
        session = self.session
        for left in session.prepare() if session is not None else ():
            yield left
            if not self._paused or self.rewinding or self.session is not session:
                return

    def settle(self) -> Session:
        """The session with its cursor where the user looks.

        Raises:
            GenieError: nothing is being played.
        """
        if self.session is None:
            raise GenieError("no session is open; open a world first.")
        if self._view is not None:
            view, self._view = self._view, None
            self.session.seek(view)
            if self.take is not None and view < self.take.first:  # rewound to before it began
                self.take = Take(self.session.branch, view)
        return self.session

    def look(self, index: int) -> None:
        """Show a frame of the branch without moving the model there yet."""
        session = self.session
        if session is not None:
            index = max(0, min(index, self.tip))
            self._view = index if index != session.index else None
            self.show("")

    def seek(self, index: int, branch: int | None = None) -> None:
        """Move the cursor, model and all."""
        self._go(lambda session: session.seek(index, branch))

    def undo(self) -> int:
        """Back to where the branch began; returns the frame's number."""
        return self._go(Session.undo_to_branch_point)

    def _go(self, move: Callable[[Session], object]) -> int:
        """A take that is being recorded ends where it was; a world that had stopped may try again."""
        session = self.settle()
        if label := self.end_take(session):
            self.notes.append(f"{label.capitalize()} is kept.")
        move(session)
        self.error = None
        self.show("")
        return session.index

    def edit(self, painted: Painted, stick: int) -> None:
        """Put a painted frame in place of the current one."""
        session = self.settle()
        session.edit(painted.frame, stick, painted.held)
        self.check_later(session.branch)
        self.show("edit")

    def check_later(self, edit: int) -> None:
        """Say how much of an edit is still there when 30 frames were played from it."""
        self._checks.add(edit)

    def end_take(self, session: Session) -> str:
        """End the take that is being recorded with a mark in the session -> its label; empty: no frames, so no take."""
        take, self.take = self.take, None
        if take is None or session.index <= take.first:
            return ""
        number = 1 + sum(branch.label.startswith("take ") for branch in session.tree)
        label = f"take {number} (frames {take.first} to {session.index})"
        session.bookmark(label)
        self.last_take = Take(session.branch, take.first, session.index)
        return label

    def look_around(self) -> bool:
        """Show what the world remembers around its picture, or no longer; False: it remembers nothing."""
        if self.session is None or not self.session.world.manifest.tokenizer.mosaic:
            self.looks_around = False
            return False
        self.looks_around = not self.looks_around
        self.show(self.newest.action if self.newest is not None else "")
        return True

    def hand_over(self, driver: str) -> None:
        """Let somebody else act from the next frame on."""
        session = self.session
        self._driver = None
        if self.watched:
            driver = "replay"
        elif session is not None and driver == "policy":
            self._driver = Policy(session.world, seed=session.index)
        elif session is not None and driver == "replay":
            self._driver = Replay(session.world, [int(action) for action in session.path().actions])
        self.driver = driver if driver in DRIVERS else "human"

    def show(self, action: str, since: float | None = None, frame: np.ndarray | None = None) -> None:
        """Publish the frame that is looked at."""
        session = self.session
        if session is None:
            return
        index = session.index if self._view is None else self._view
        if frame is None:
            frame = session.frame if self._view is None else session.frame_at(index)
        moved = self.newest is None or (session.branch, index) != (self.newest.branch, self.newest.index + 1)
        self.tip = session.recording.branch(session.branch).end if moved or self._view is not None else index
        spacing = max(1, round(session.world.frame_rate))
        if moved or index % spacing == 0:
            marks = range(max(0, (index // spacing - STRIP + 1) * spacing), index + 1, spacing)
            known = {} if moved else dict(self.strip)
            self.strip = tuple((mark, known[mark] if mark in known else session.frame_at(mark)) for mark in marks)
        around = session.surroundings(index) if self.looks_around else None
        self.newest = Shown(frame, index, session.branch, action, since, session.salt, around)

    # The thread itself.

    def _run(self) -> None:
        self._deadline = time.perf_counter()
        while True:
            with self._wake:
                while not self._stopping and not self._jobs and (wait := self._seconds_until_due()) != 0:
                    self._wake.wait(timeout=wait)
                if self._stopping:
                    break
            if self._jobs:
                self._jobs.run_slice()
                if self._jobs.exclusive:
                    self.latch.forget_taps()
            if self._seconds_until_due() == 0:
                try:
                    self._tick()
                except Exception as error:
                    self.error, self._paused, self._rewinding_since, self._singles = error, True, None, 0
            self._look_at_journal()
        self._close_session()

    def _look_at_journal(self) -> None:
        """Tell the user, once, that the journal has stopped."""
        journal = self.session.journal if self.session is not None else None
        if journal is not None and journal.error is not None and journal is not self._stopped:
            self._stopped = journal
            reason = journal.error.strerror or journal.error
            self.notes.append(
                f"What you play is not written down any more ({reason}): a crash would lose it. Make room, then save it to a slot."
            )

    def _close_session(self) -> None:
        if self.session is not None:
            with suppress(Exception):  # where the user looks is where the session is left
                self.settle()
            session, self.session, saved = self.session, None, False
            with suppress(GenieError, OSError):
                self.end_take(session)
            try:
                self._keep(session)
                saved = True
            except Exception as error:  # whatever it is, the journal must be let go of, to be recovered
                whole = session.journal is not None and session.journal.error is None
                journal = "its journal" if whole else "its journal, which stopped before,"
                self.notes.append(f"The session could not be kept ({error}); {journal} stays and can be recovered from home.")
            session.close(remove_journal=saved, recoverable=not saved)

    def _seconds_until_due(self) -> float | None:
        """Seconds until a frame is due, 0 if it is, None if none is."""
        if self.session is None or self.error is not None:
            return None
        turns = self.mode == "turn-based" and self._driver is None and not self.hurry
        if self.rewinding or self._paused or turns or self._jobs.exclusive:
            self.figures.finished.clear()  # the rate is that of frames made one after another
        if self._jobs.exclusive:
            return None
        if self._singles:
            return 0.0
        if not self.rewinding:
            if self._paused:
                self._deadline = time.perf_counter()
                return None
            if turns:
                return 0.0 if self.latch.turn_waits else None
            if self.hurry or self.mode == "fast":
                return 0.0
        return max(0.0, self._deadline - time.perf_counter())

    def _tick(self) -> None:
        if self.rewinding and not self._singles:
            self.latch.forget_taps()
            held = time.perf_counter() - (self._rewinding_since or 0.0)
            back = next(frames for seconds, frames in REWIND if held >= seconds)
            here = self.newest.index if self.newest is not None else 0
            if here > 0:
                self.look(here - back)
        else:
            self._step()
        now, wait = time.perf_counter(), 1.0 / self.target
        self._deadline = min(max(self._deadline + wait, now), now + wait)  # fast frames do not move it ahead of the clock

    def _step(self) -> None:
        single, self._singles = self._singles > 0, max(0, self._singles - 1)
        began = time.perf_counter()
        turn = self.latch.read_turn() if self.mode == "turn-based" and not single else None
        reading = turn or self.latch.read()
        if single and not reading.controls and self.newest is not None and self.newest.index < self.tip:
            self.look(self.newest.index + 1)  # nobody acts: along the branch as it was
            return
        if self.watched:
            self._watch()
            return
        session = self.settle()
        action = self._choose(reading)
        waited = (began - reading.since) * 1000 if reading.since is not None else None
        frame = session.step(action, reading.sources, waited)
        now = time.perf_counter()
        if self.companion is not None:
            self.companion.step(action.name, frame)
        self.figures.step_seconds.append(now - began)
        self.figures.finished.append(now)
        if reading.since is not None:
            self.figures.key_to_frame.append(now - reading.since)
        self.show(action.name, reading.since, frame)
        self._check_edits(session)

    def _watch(self) -> None:
        """The next frame of the branch, as it was."""
        if self.newest is not None and self.newest.index < self.tip:
            self.look(self.newest.index + 1)
            self.figures.finished.append(time.perf_counter())
        else:
            self.pause(True)
            self.notes.append("Here what was recorded ends.")

    def _choose(self, reading: Reading) -> Action:
        assert self.map is not None
        if self._driver is not None:
            action = self._driver.act()
            if action is not None:
                return action
            self.notes.append("The replay has ended: you play.")
            self.hand_over("human")
        return self.map.choose(reading.controls)

    def _check_edits(self, session: Session) -> None:
        """Tell what is left of an edit so many frames back on the way that was played, whatever branches it took since."""
        record = session.recording
        edits = [number for number, *_ in record.line(session.branch) if number in record.edits] if self._checks else []
        if edits and edits[-1] in self._checks and session.index == record.branch(edits[-1]).start + PERSISTENCE_FRAMES:
            self._checks.remove(edits[-1])
            kept = session.edit_persistence()
            told = "nothing of it is in the view" if kept is None else f"{kept:.0%} of it is still there"
            self.notes.append(f"{PERSISTENCE_FRAMES} frames after the edit {told}.")
