"""Work for the model thread, asked for by the window: a function, or a generator that is run slice by slice."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from inspect import isgenerator
from typing import Any


@dataclass
class Job:
    """One piece of work. The window looks at `progress` and `done`; it never waits.

    A generator yields its progress between slices and returns its result; in between frames are made and other jobs run.
    """

    work: Callable[[], Any]
    key: str = ""  # a later job of the same key takes its place
    on_done: Callable[[Any], object] | None = None  # called in the window's thread
    on_error: Callable[[Exception], object] | None = None
    progress: Any = None
    result: Any = None
    error: Exception | None = None
    done: bool = False
    cancelled: bool = False
    _slices: Generator[Any, None, Any] | None = field(default=None, repr=False)

    def run_slice(self) -> None:
        """One slice; sets `done` after the last."""
        try:
            if self._slices is None:
                made = self.work()
                if not isgenerator(made):
                    self.result, self.done = made, True
                    return
                self._slices = made
            self.progress = next(self._slices)
        except StopIteration as end:
            self.result, self.done = end.value, True
        except Exception as error:
            self.error, self.done = error, True


class JobQueue:
    """Jobs in the order they were asked for; long ones take turns with the others. Shared by both threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Job] = deque()
        self._finished: deque[Job] = deque()
        self._running: Job | None = None

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, job: Job) -> None:
        """Ask for work; an unfinished job of the same key is given up."""
        with self._lock:
            if job.key:
                for other in [*self._waiting, *([self._running] if self._running else [])]:
                    if other.key == job.key:
                        other.cancelled = True
            self._waiting = deque(other for other in self._waiting if not other.cancelled)
            self._waiting.append(job)

    def cancel(self, key: str) -> None:
        """Give up what was asked for under this key."""
        with self._lock:
            for job in [*self._waiting, *([self._running] if self._running else [])]:
                job.cancelled = job.cancelled or job.key == key
            self._waiting = deque(job for job in self._waiting if not job.cancelled)

    def run_slice(self) -> None:
        """One slice of the job that waits longest (model thread)."""
        with self._lock:
            if not self._waiting:
                return
            job = self._running = self._waiting.popleft()
        job.run_slice()
        with self._lock:
            self._running = None
            if not job.done and not job.cancelled:
                self._waiting.append(job)
            elif not job.cancelled:
                self._finished.append(job)

    def finish(self) -> list[Job]:
        """Call back for the jobs that are done (window's thread); returns them."""
        with self._lock:
            ended, self._finished = list(self._finished), deque()
        for job in ended:
            if job.error is not None:
                if job.on_error is not None:
                    job.on_error(job.error)
            elif job.on_done is not None:
                job.on_done(job.result)
        return ended
