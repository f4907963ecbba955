"""What scrolls out of view is there again when the view goes back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tokenizer import TokenizerConfig
from tokenizer.mosaic import Mosaic
from tokenizer.motion import move

HEIGHT, WIDTH, REACH = 32, 48, (6, 4)
CONFIG = TokenizerConfig(resolution=(HEIGHT, WIDTH), reach_rows=REACH[0], reach_columns=REACH[1], mosaic=20)


def world(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (2, 200, 200, 3), dtype=np.uint8)


def view(level: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """What a camera sees of a level [B, …] with its top left corner at int [B, 2]."""
    return np.stack([one[y : y + HEIGHT, x : x + WIDTH] for one, (y, x) in zip(level, corners.tolist(), strict=True)])


def walked(path: list[tuple[int, int]], config: TokenizerConfig = CONFIG) -> tuple[np.ndarray, np.ndarray, Mosaic]:
    """A camera over a level, by rows and columns each step; the second one goes the other way. (level, last corners, mosaic)."""
    level, corners = world(), np.full((2, 2), 80)
    shown = Mosaic.of(view(level, corners), config)
    for step in path:
        offset = np.array([step, (-step[0], -step[1])])
        corners = corners + offset
        shown = shown.after(-offset, view(level, corners))  # the picture goes where the camera does not
    return level, corners, shown


def test_the_margin_is_what_was_in_view_before() -> None:
    level, corners, shown = walked([(5, 3), (4, -4), (-6, 2)])
    assert np.array_equal(shown.frame, view(level, corners))
    around = shown.around
    assert around.shape == (2, HEIGHT + 12, WIDTH + 8, 3) == (2, *CONFIG.around, 3)
    wide = np.stack([one[y - 6 : y + HEIGHT + 6, x - 4 : x + WIDTH + 4] for one, (y, x) in zip(level, corners, strict=True)])
    below, above = slice(6 + HEIGHT, 12 + HEIGHT), slice(0, 6)
    assert np.array_equal(around[0, below, 8:-8], wide[0, below, 8:-8])  # its camera had been 6 rows further down
    assert np.array_equal(around[1, above, 8:-8], wide[1, above, 8:-8])  # and this one's further up
    assert not np.array_equal(around[1, below, 8:-8], wide[1, below, 8:-8])  # where it has never been


def test_what_was_never_in_view_repeats_the_edge_as_without_a_mosaic() -> None:
    frame = view(world(), np.full((2, 2), 80))
    shown = Mosaic.of(frame, CONFIG)
    assert np.array_equal(shown.around, np.pad(frame, ((0, 0), (6, 6), (4, 4), (0, 0)), mode="edge"))
    motion = torch.tensor([[6, -4], [-3, 2]])
    plain, wide = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() for pixels in (frame, shown.around))
    assert torch.equal(move(wide, motion, REACH), move(plain, motion))


def test_going_back_shows_the_very_pixels() -> None:
    there = [(5, 4), (5, 4), (4, 4)]
    level, corners, shown = walked(there)
    for step in reversed(there):
        offset = np.array([step, (-step[0], -step[1])])
        moved = move(torch.from_numpy(shown.around).permute(0, 3, 1, 2).float(), torch.from_numpy(offset), REACH)
        corners = corners - offset
        seen = view(level, corners)
        assert np.array_equal(moved.permute(0, 2, 3, 1).numpy(), seen)  # nothing is left to describe
        shown = shown.after(offset, seen)


def test_what_is_further_away_than_it_remembers_is_forgotten() -> None:
    _, _corners, shown = walked([(0, 4)] * 12)  # the first camera goes 48 columns to the right
    assert shown.known[0, 20:-20, : WIDTH + 20].all() and not shown.known[0, 20:-20, WIDTH + 20 :].any()
    for _ in range(12):  # and back, blindfolded
        shown = shown.after(np.array([[0, 4], [0, -4]]), np.zeros_like(shown.frame))
    assert shown.known[0, 20:-20, 20:].all() and not shown.known[0, 20:-20, :20].any()  # its first view is 28 columns away again


def test_it_is_never_changed_in_place() -> None:
    _, _corners, shown = walked([(5, 3)])
    before = shown.picture.copy(), shown.known.copy(), shown.frame.copy()
    shown.showing(np.zeros_like(shown.frame))
    shown.after(np.array([[3, 1], [0, 0]]), np.zeros_like(shown.frame))
    shown.renewed(np.array([True, False]), np.zeros_like(shown.frame))
    assert all(np.array_equal(a, b) for a, b in zip(before, (shown.picture, shown.known, shown.frame), strict=True))


def test_rows_begin_anew_alone() -> None:
    _level, corners, shown = walked([(5, 3), (4, -4)])
    fresh = view(world(1), corners)
    again = shown.renewed(np.array([True, False]), fresh)
    assert np.array_equal(again.around[0], Mosaic.of(fresh, CONFIG).around[0])
    assert np.array_equal(again.around[1], shown.around[1])


def test_a_rollout_guesses_what_was_never_in_view_from_the_sides_of_the_frame() -> None:
    _, _, seen = walked([(5, 3), (4, -4)])
    shown, frame = seen.guessing(12), seen.frame
    assert np.array_equal(shown.known, seen.known) and np.array_equal(shown.picture[seen.known], seen.picture[seen.known])
    assert seen.guessing(0) is seen
    fresh = Mosaic.of(frame, CONFIG).guessing(12).picture  # of which nothing is known but the frame
    beside = fresh[:, 20:-20]
    assert np.array_equal(beside[:, :, 8:-8], np.pad(frame, ((0, 0), (0, 0), (12, 12), (0, 0)), mode="symmetric"))
    assert np.array_equal(beside[:, :, :8], frame[:, :, 4:12])  # then they are mirrored once more
    assert np.array_equal(fresh[:, :20], np.repeat(fresh[:, 20:21], 20, axis=1))  # above it the outer row goes on
    assert np.array_equal(shown.picture[~seen.known], fresh[~seen.known])
    assert np.array_equal(shown.around[:, 6:-6], shown.picture[:, 20:-20, 16:-16])
    level = shown.known[:, 14:20, 16:-16]  # above, what is not remembered is the row below it
    assert np.array_equal(shown.around[:, :6][~level], np.repeat(shown.around[:, 6:7], 6, axis=1)[~level])


def test_a_guess_gives_way_to_what_comes_into_view() -> None:
    level, corners = world(), np.full((2, 2), 80)
    plain = Mosaic.of(view(level, corners), CONFIG)
    guessing = plain.guessing(12)
    for step in [(5, 3), (4, -4), (-6, 2), (0, 4), (0, 4)]:
        corners = corners + np.array([step, (-step[0], -step[1])])
        plain, guessing = (one.after(-np.array([step, (-step[0], -step[1])]), view(level, corners)) for one in (plain, guessing))
    assert np.array_equal(guessing.known, plain.known) and not plain.known.all()
    assert np.array_equal(guessing.picture[plain.known], plain.picture[plain.known])


def test_a_level_goes_on_with_what_has_left_the_mosaic_on_the_other_side() -> None:
    shown = Mosaic.of(view(world(), np.full((2, 2), 80)), CONFIG).guessing(12)
    there = shown.picture
    walking = np.array([[0, -4], [0, 4]])  # the first camera to the right, the second one to the left
    for _ in range(there.shape[2] // 4):  # all around, and all that comes into view is as it was guessed
        moved = move(torch.from_numpy(shown.around).permute(0, 3, 1, 2).float(), torch.from_numpy(walking), REACH)
        shown = shown.after(walking, moved.permute(0, 2, 3, 1).byte().numpy())
    assert np.array_equal(shown.picture, there)
    fallen = shown.after(np.array([[-6, 0], [6, 0]]), shown.frame).picture
    assert np.array_equal(fallen[0, -6:], np.repeat(there[0, -1:], 6, axis=0))  # the ground goes on below
    assert np.array_equal(fallen[1, :6], np.repeat(there[1, :1], 6, axis=0))  # and the sky above


def test_without_a_mosaic_there_is_only_the_frame() -> None:
    config = TokenizerConfig(resolution=(HEIGHT, WIDTH), reach_rows=6, reach_columns=4)
    _, _, shown = walked([(5, 3), (4, -4)], config)
    assert shown.around is shown.frame and shown.picture.shape == shown.frame.shape
    assert config.around == config.resolution and not {"mosaic", "guess"} & config.model_dump().keys()


@pytest.mark.parametrize(
    "wrong", [{"mosaic": 0, "guess": 4}, {"guess": 25}, {"mosaic": 5}, {"reach_rows": 0, "reach_columns": 0}, {"mosaic": -1}]
)
def test_a_mosaic_needs_a_reach_and_holds_it(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        TokenizerConfig(**{**CONFIG.model_dump(), **wrong})
