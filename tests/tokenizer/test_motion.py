import pytest
import torch

from tokenizer.motion import measure_motion, motion_costs, move

REACH = (10, 6)


def picture(seed: int = 0, count: int = 1) -> torch.Tensor:
    """Frames of coarse coloured blocks, float [count, 3, 64, 64]."""
    blocks = torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return blocks.repeat_interleave(4, 2).repeat_interleave(4, 3)


@pytest.mark.parametrize("offset", [(0, 0), (7, -3), (-10, 6), (1, 1)])
def test_the_offset_of_a_moved_picture_is_found(offset: tuple[int, int]) -> None:
    motion = torch.tensor([offset])
    assert measure_motion(picture(), move(picture(), motion), REACH).tolist() == [list(offset)]


def test_moving_carries_pixels_down_and_right_and_repeats_the_edge() -> None:
    frame = picture()
    moved = move(frame, torch.tensor([[3, 5]]))
    assert torch.equal(moved[..., 3:, 5:], frame[..., :-3, :-5])
    assert torch.equal(moved[..., 0, 5:], frame[..., 0, :-5])


def test_each_frame_of_a_batch_moves_by_its_own_offset() -> None:
    frames = picture(count=3)
    motion = torch.tensor([[4, 0], [0, -2], [-9, 5]])
    moved = move(frames, motion)
    assert torch.equal(measure_motion(frames, moved, REACH), motion)
    assert torch.equal(moved[1:2], move(frames[1:2], motion[1:2]))


def test_an_empty_picture_is_taken_to_stand_still() -> None:
    empty = torch.full((1, 3, 64, 64), 0.3)
    assert measure_motion(empty, empty, REACH).tolist() == [[0, 0]]


def test_costs_vanish_where_the_offset_is_right() -> None:
    costs = motion_costs(picture(), move(picture(), torch.tensor([[2, 0]])), REACH)
    assert costs.shape == (1, 21, 13)
    assert costs[0, REACH[0] + 2, REACH[1]] == costs.min() < 1e-3
