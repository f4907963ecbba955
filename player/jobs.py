"""Work for the model thread, asked for by the window: a function, or a generator that is run slice by slice."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from inspect import isgenerator
from typing import Any, cast

from genie.errors import GenieError


@dataclass(eq=False)
class Job:
    """One piece of work. The window looks at `progress` and `done`; it never waits.

    A generator yields its progress between slices and returns its result; in between frames are made and other jobs run.
    """

    work: Callable[[], Any]
    key: str = ""  # a later job of the same key takes its place
    on_done: Callable[[Any], object] | None = None  # called in the window's thread
    on_error: Callable[[Exception], object] | None = None
    exclusive: bool = False  # nothing else happens between its slices
    progress: Any = None
    result: Any = None
    error: Exception | None = None
    done: bool = False
    cancelled: bool = False
    _slices: Generator[Any, None, Any] | None = field(default=None, repr=False)

    @property
    def begun(self) -> bool:
        """Whether a slice of it was run."""
        return self._slices is not None

    def run_slice(self) -> None:
        """One slice; sets `done` after the last."""
        try:
            if self._slices is None:
                made = self.work()
                if not isgenerator(made):
                    self.result, self.done = made, True
                    return
                self._slices = cast("Generator[Any, None, Any]", made)
            self.progress = next(self._slices)
        except StopIteration as end:
            self.result, self.done = end.value, True
        except Exception as error:
            self.error, self.done = error, True

    def end(self) -> bool:
        """Leave the rest of it; False if that went wrong, which is then its error."""
        try:
            if self._slices is not None:
                self._slices.close()
        except Exception as error:
            self.error = error
            return False
        return True


class JobQueue:
    """Jobs in the order they were asked for; long ones take turns with the others. Shared by both threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Job] = deque()
        self._finished: deque[Job] = deque()
        self._running: Job | None = None

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def exclusive(self) -> bool:
        """Whether an exclusive job has begun and is not done."""
        return any(job.exclusive and job.begun for job in list(self._waiting))

    def add(self, job: Job) -> None:
        """Ask for work; an unfinished job of the same key is given up."""
        with self._lock:
            if job.key:
                self._cancel(job.key)
            self._waiting.append(job)

    def cancel(self, key: str) -> None:
        """Give up what was asked for under this key."""
        with self._lock:
            self._cancel(key)

    def run_slice(self) -> None:
        """One slice of the job that waits longest (model thread)."""
        with self._lock:
            if not self._waiting:
                return
            job = next((job for job in self._waiting if job.exclusive and job.begun), self._waiting[0])
            self._waiting.remove(job)
            self._running = job
        if not job.cancelled:
            job.run_slice()
        with self._lock:
            self._running, cancelled = None, job.cancelled
            if not cancelled:
                (self._finished if job.done else self._waiting).append(job)
        if cancelled and not job.end():  # in this thread, so that its `finally` runs where its work did
            with self._lock:
                self._finished.append(job)

    def finish(self) -> list[Job]:
        """Call back for the jobs that are done (window's thread); returns them. What goes wrong in a callback is that job's error."""
        with self._lock:
            ended, self._finished = list(self._finished), deque()
        for job in ended:
            try:
                if job.error is not None:
                    if job.on_error is not None:
                        job.on_error(job.error)
                elif job.on_done is not None:
                    job.on_done(job.result)
            except (GenieError, OSError) as error:
                job.error, job.on_error = error, None
        return ended

    def _cancel(self, key: str) -> None:
        for job in [*self._waiting, *([self._running] if self._running else [])]:
            job.cancelled = job.cancelled or job.key == key
