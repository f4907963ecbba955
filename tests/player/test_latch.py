"""The input latch: nothing pressed is lost, nothing released lingers."""

from __future__ import annotations

import time

from player.latch import InputLatch


def test_a_tap_shorter_than_a_frame_is_not_lost() -> None:
    latch = InputLatch()
    latch.press("space", "jump")
    latch.release("space")
    assert latch.read().controls == {"jump"}
    assert latch.read().controls == frozenset()


def test_a_held_key_counts_until_released() -> None:
    latch = InputLatch()
    latch.press("d", "right")
    assert [latch.read().controls for _ in range(3)] == [{"right"}] * 3
    latch.release("d")
    assert latch.read().controls == frozenset()


def test_held_and_tapped_keys_count_together() -> None:
    latch = InputLatch()
    latch.press("d", "right")
    latch.read()
    latch.press("space", "jump")
    latch.release("space")
    assert latch.read().controls == {"right", "jump"}
    assert latch.read().controls == {"right"}


def test_a_control_is_held_as_long_as_one_of_its_keys_is() -> None:
    latch = InputLatch()
    latch.press("arrow", "right")
    latch.read()
    latch.press("d", "right")
    latch.release("d")
    latch.release("stick")  # a pad that drifts around its middle
    assert [latch.read().controls for _ in range(2)] == [{"right"}] * 2


def test_the_time_is_the_oldest_events_since_the_last_reading() -> None:
    latch = InputLatch()
    assert latch.read().since is None
    before = time.perf_counter()
    latch.press("a", "left")
    between = time.perf_counter()
    latch.press("space", "jump")
    since = latch.read().since
    assert since is not None
    assert before <= since <= between
    assert latch.read().since is None


def test_losing_the_focus_forgets_everything_and_a_pause_only_the_taps() -> None:
    latch = InputLatch()
    latch.press("a", "left")
    latch.press("space", "jump")
    latch.release("space")
    latch.forget_taps()
    assert latch.read().controls == {"left"}
    latch.clear()
    assert latch.read().controls == frozenset()


def test_turn_by_turn_every_press_is_read_once_with_what_was_held() -> None:
    heard: list[int] = []
    latch = InputLatch(lambda: heard.append(1))
    latch.press("d", "right")
    latch.press("space", "jump")
    latch.release("space")
    latch.press("space", "jump")
    turns = [latch.read_turn() for _ in range(4)]
    assert [turn and set(turn.controls) for turn in turns] == [{"right"}, {"right", "jump"}, {"right", "jump"}, None]
    assert turns[1] is not None and turns[1].sources == ("d", "space")
    assert len(heard) == 3
