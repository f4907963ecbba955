"""What of a real frame the prompt showed already."""

from __future__ import annotations

import numpy as np

from genie.horizons import seen_and_new, seen_since


def test_what_scrolls_in_was_not_seen_and_what_left_does_not_come_back_as_seen() -> None:
    motion = np.array([[[5, 5], [3, 0], [-3, 0], [0, -2]]])  # before the prompt ends; down; up again; left
    seen = seen_since(motion, 2, (8, 8), 1)
    assert seen.shape == (1, 5, 8, 8)
    assert seen[0, :2].all()
    down = np.ones((8, 8), bool)
    down[:3] = False
    assert np.array_equal(seen[0, 2], down)
    back = np.ones((8, 8), bool)
    back[5:] = False
    assert np.array_equal(seen[0, 3], back)
    back[:, 6:] = False
    assert np.array_equal(seen[0, 4], back)


def test_a_cell_counts_where_all_of_it_was_seen() -> None:
    seen = seen_since(np.array([[[0, 0], [0, 3]]]), 2, (8, 8), 4)
    assert seen[0, 2].tolist() == [[False, True], [False, True]]


def test_nothing_is_left_after_a_long_way() -> None:
    assert not seen_since(np.full((1, 6, 2), 4), 1, (8, 8), 1)[0, -1].any()


def test_what_is_remembered_counts_when_it_comes_back() -> None:
    known = np.zeros((1, 12, 12), bool)
    known[:, 2:10, 2:10] = True  # an 8×8 picture, and two pixels around it
    known[:, 10:, 2:10] = True  # of which those below were in view before
    seen = seen_since(np.array([[[-3, 0], [3, 0], [0, -3], [0, 3]]]), 1, (8, 8), 1, known)
    up = np.ones((8, 8), bool)
    up[7] = False  # three rows come in from below, two were remembered
    assert np.array_equal(seen[0, 1], up)
    back = np.ones((8, 8), bool)
    back[0] = False  # and the one that went further away than it remembers is lost
    assert np.array_equal(seen[0, 2], back)


def test_new_is_what_comes_into_view_for_the_first_time() -> None:
    known = np.zeros((1, 16, 24), bool)
    known[:, 4:12, 4:20] = True
    right, left = [0, -2], [0, 2]
    seen, new = seen_and_new(np.array([[right, right, right, left]]), 1, (8, 16), 4, known)
    half = np.zeros((2, 4), bool)
    half[:, 3] = True
    assert np.array_equal(new[0, 1], half)  # half of a cell is enough
    assert np.array_equal(new[0, 2], half) and np.array_equal(new[0, 3], half)
    assert not new[0, 4].any()  # what comes back had been shown already
    assert not (seen & new).any()
