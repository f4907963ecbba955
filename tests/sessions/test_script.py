"""Scripted takes: the little language, and what is written."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import genie
from genie.runtime.actions import Action, ActionTable
from genie.sessions.script import Fingerprint, parse_actions

TABLE = ActionTable(tuple(Action(id=i, name=n, kind="recorded") for i, n in enumerate(("noop", "right", "right+jump"))))


@given(st.lists(st.tuples(st.sampled_from(TABLE.actions), st.integers(1, 20)), min_size=1, max_size=6))
def test_a_written_script_is_read_back(parts: list[tuple[Action, int]]) -> None:
    text = ",".join(f"{action.name}:{count}" for action, count in parts)
    assert parse_actions(text, TABLE) == [action for action, count in parts for _ in range(count)]


def test_a_part_without_a_number_lasts_one_frame_and_ids_work() -> None:
    assert [a.name for a in parse_actions("right, 2:2 ,noop", TABLE)] == ["right", "right+jump", "right+jump", "noop"]


@pytest.mark.parametrize("text", ["right:0", "right:-1", "right:x", "fly:3", "", "right:3,", "right:99999999"])
def test_a_wrong_script_is_refused(text: str) -> None:
    with pytest.raises(genie.ActionError):
        parse_actions(text, TABLE)


def test_equal_frames_have_equal_fingerprints() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (3, 8, 8, 3), dtype=np.uint8)
    whole, single = Fingerprint().add(frames), Fingerprint()
    for frame in frames:
        single.add(frame)
    assert str(whole) == str(single) != str(Fingerprint().add(frames[::-1]))
