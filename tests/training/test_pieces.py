"""Pieces that are mended and pieces that are kept, on real clips."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from genie.data.clips import ClipSampler
from genie.data.store import Dataset
from genie.training.pieces import damaged, planted
from tokenizer.model import to_float
from tokenizer.motion import measure_motion, move

REACH = (16, 8)


@pytest.fixture(scope="module")
def frames(dataset: Dataset) -> Tensor:
    return to_float(torch.from_numpy(ClipSampler(dataset.split("train"), 12, 2, 0).batch(3, 6).frames))


@pytest.fixture(scope="module")
def scroll(frames: Tensor) -> Tensor:
    found = measure_motion(frames[:, :-1].flatten(0, 1), frames[:, 1:].flatten(0, 1), REACH)
    return found.unflatten(0, (len(frames), -1))


def test_what_is_planted_stays_and_scrolls_with_the_picture(frames: Tensor, scroll: Tensor) -> None:
    made, seen, sudden = planted(frames, frames, scroll, torch.Generator().manual_seed(0))
    assert torch.equal(made, seen)
    assert sudden[:, 0].any() and sudden[:, 1:].any()  # from the first frame on, or from a later one
    new = (made != frames).any(2)
    assert (new.any(dim=(2, 3)).float().mean(1) > 0.4).sum() >= 3  # most sequences have something, most of the time
    moved, whole = (
        move(part[:, :-1].flatten(0, 1).float(), scroll.flatten(0, 1)).unflatten(0, scroll.shape[:2]) for part in (made, new[:, :, None])
    )
    carried = (whole[:, :, 0] > 0) & new[:, 1:] & ~sudden[:, 1:]
    assert carried.sum() > 100
    assert ((made[:, 1:] - moved).abs().amax(2)[carried] < 0.02).float().mean() > 0.9


def test_nothing_is_planted_over_the_middle(frames: Tensor, scroll: Tensor) -> None:
    made, _, _ = planted(frames, frames, scroll, torch.Generator().manual_seed(1))
    assert torch.equal(made[..., 26:38, 26:38], frames[..., 26:38, 26:38])


def test_the_model_sees_the_same_planted_pieces_in_its_own_frames(frames: Tensor, scroll: Tensor) -> None:
    own = frames.clamp(-0.5, 0.5)
    made, seen, _ = planted(frames, own, scroll, torch.Generator().manual_seed(2))
    new = (made != frames).any(2, keepdim=True).expand_as(made)
    assert torch.equal(made[new], seen[new])
    assert ((seen == own) | (seen == made)).all()


def test_a_picture_without_scenery_is_left_alone(frames: Tensor) -> None:
    noise = torch.rand(frames.shape, generator=torch.Generator().manual_seed(3)) * 2 - 1
    made, _, _ = planted(noise, noise, torch.zeros(len(noise), noise.shape[1] - 1, 2, dtype=torch.long), torch.Generator().manual_seed(4))
    assert torch.equal(made, noise)


def test_damage_lasts_three_frames_at_most(frames: Tensor, scroll: Tensor) -> None:
    still = frames[:, :1].expand_as(frames)
    harmed = (damaged(still, torch.zeros_like(scroll), torch.Generator().manual_seed(5)) != still).any(2)  # [B, T, H, W]
    assert harmed.any(dim=(1, 2, 3)).sum() >= 4  # in a picture that stands still what was there before is there now
    assert not harmed.all(1).any()


def test_what_has_gone_is_seen_again_where_it_would_be_by_now() -> None:
    frames = torch.zeros(8, 12, 3, 64, 64)
    for t in range(6):
        frames[:, t, :, 28:36, 20 + 2 * t : 28 + 2 * t] = 1.0  # scrolls with the level, then is gone
    scroll = torch.tensor([0, 2]).expand(8, 11, 2)
    ghosts = damaged(frames, scroll, torch.Generator().manual_seed(0))[:, 6:]
    assert (ghosts > 0).any(dim=(2, 3, 4)).sum() >= 6
    for t in range(6):
        ghosts[:, t, :, 28:36, 32 + 2 * t : 40 + 2 * t] = 0.0
    assert not ghosts.any()
