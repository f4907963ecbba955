"""The input latch: nothing pressed is lost, nothing released lingers."""

from __future__ import annotations

import time

from player.latch import InputLatch


def test_a_tap_shorter_than_a_frame_is_not_lost() -> None:
    latch = InputLatch()
    latch.press("jump")
    latch.release("jump")
    assert latch.read().controls == {"jump"}
    assert latch.read().controls == frozenset()


def test_a_held_key_counts_until_released() -> None:
    latch = InputLatch()
    latch.press("right")
    assert [latch.read().controls for _ in range(3)] == [{"right"}] * 3
    latch.release("right")
    assert latch.read().controls == frozenset()


def test_held_and_tapped_keys_count_together() -> None:
    latch = InputLatch()
    latch.press("right")
    latch.read()
    latch.press("jump")
    latch.release("jump")
    assert latch.read().controls == {"right", "jump"}
    assert latch.read().controls == {"right"}


def test_the_time_is_the_oldest_events_since_the_last_reading() -> None:
    latch = InputLatch()
    assert latch.read().since is None
    before = time.perf_counter()
    latch.press("left")
    between = time.perf_counter()
    latch.press("jump")
    since = latch.read().since
    assert since is not None
    assert before <= since <= between
    assert latch.read().since is None


def test_losing_the_focus_forgets_everything() -> None:
    latch = InputLatch()
    latch.press("left")
    latch.press("jump")
    latch.clear()
    assert latch.read() == latch.read()
    assert latch.read().controls == frozenset()
