"""The model thread: owns the rollout, keeps the world's pace, hands over the newest frame. The window never waits for it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from genie.runtime.rollout import Rollout
from genie.world import World
from player.latch import InputLatch

WINDOW = 120  # steps that the figures look back over


@dataclass(frozen=True)
class Shown:
    """One frame and what led to it."""

    frame: np.ndarray  # uint8 [H, W, 3]
    index: int
    action: str
    latency: float | None  # seconds from the oldest key event to the finished frame


@dataclass
class Figures:
    """How the model keeps up."""

    step_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    finished: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    latency: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))

    @property
    def rate(self) -> float:
        """Frames a second over the last steps."""
        times = list(self.finished)
        return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else 0.0

    def milliseconds(self, percent: float) -> float:
        """A percentile of the step times."""
        times = list(self.step_seconds)
        return float(np.percentile(times, percent) * 1000) if times else 0.0


class ModelThread:
    """Steps the rollout at absolute deadlines; sleeps while paused."""

    def __init__(self, world: World, start: Callable[[], Rollout], latch: InputLatch, rate: float) -> None:
        self._world, self._start, self._latch = world, start, latch
        self._period = 1.0 / rate
        self._rollout = start()
        self._wake = threading.Condition()
        self._paused = self._stopping = self._reset = False
        self.figures = Figures()
        self.error: BaseException | None = None
        self.newest = Shown(self._rollout.frame, 0, "", None)
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)

    def start(self) -> None:
        """Begin stepping."""
        self._thread.start()

    @property
    def paused(self) -> bool:
        """Whether the world stands still."""
        return self._paused

    def pause(self, paused: bool) -> None:
        """Stop or go on; what was tapped while the world stood still is forgotten."""
        with self._wake:
            self._paused = paused
            self._latch.forget_taps()
            self._wake.notify()

    def reset(self) -> None:
        """Start over from the prompt before the next step."""
        with self._wake:
            self._reset = True
            self._wake.notify()

    def close(self) -> None:
        """End the thread after the step it is in."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _run(self) -> None:
        try:
            deadline = time.perf_counter()
            while True:
                with self._wake:
                    while self._paused and not self._stopping and not self._reset:
                        self._wake.wait()
                        deadline = time.perf_counter()
                        self.figures.finished.clear()
                    if self._stopping:
                        return
                    late = time.perf_counter() - deadline
                    if late < 0 and not self._reset:
                        self._wake.wait(timeout=-late)
                        continue
                    resetting, self._reset = self._reset, False
                if resetting:
                    self._rollout = self._start()
                    self.newest = Shown(self._rollout.frame, 0, "", None)
                    continue
                self._step()
                # Absolute deadlines; a late step re-anchors them, so that there is never a burst to catch up.
                deadline = max(deadline + self._period, time.perf_counter())
        except BaseException as error:
            self.error = error

    def _step(self) -> None:
        began = time.perf_counter()
        reading = self._latch.read()
        action = self._world.action_table.for_keys(reading.controls)
        frame = self._rollout.step(action)
        now = time.perf_counter()
        latency = now - reading.since if reading.since is not None else None
        self.figures.step_seconds.append(now - began)
        self.figures.finished.append(now)
        if latency is not None:
            self.figures.latency.append(latency)
        self.newest = Shown(frame, self._rollout.index, action.name, latency)
