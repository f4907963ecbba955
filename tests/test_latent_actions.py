"""The latent action model: codes from frames alone, and figures that know constructed answers."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from genie.configs import LatentActionConfig
from genie.latent_actions import LatentActionModel, QuarterMotion
from genie.metrics import majority_accuracy
from genie.training.latent_stage import agreement
from genie.world import open_bundle
from tokenizer.motion import move

NAMES = ("noop", "left", "right", "jump", "left+jump", "right+jump")


def test_inference_is_deterministic_and_leaves_the_codebook_alone() -> None:
    torch.manual_seed(0)
    model = LatentActionModel(LatentActionConfig(width=16))
    frames = torch.rand(32, 3, 3, 64, 64) * 2 - 1
    model.train()
    model(*frames.unbind(1))  # initialises the codebook from data
    model.eval()
    before = model.quantizer.codebook.clone()
    with torch.no_grad():
        first, again = model.infer(*frames.unbind(1)), model.infer(*frames.unbind(1))
        alone = model.infer(*(part[:1] for part in frames.unbind(1)))
    assert torch.equal(first, again)
    assert first[0] == alone[0]
    assert torch.equal(before, model.quantizer.codebook)
    assert first.min() >= 0
    assert first.max() < 8


def test_agreement_is_perfect_where_codes_are_the_actions() -> None:
    actions = np.tile(np.arange(6), 20)[None]
    found = agreement(actions, actions, NAMES)
    assert found["action_accuracy"] == found["left_or_right_accuracy"] == found["jump_accuracy"] == 1.0
    assert abs(found["mutual_information_bits"] - np.log2(6)) < 1e-9


def test_agreement_is_the_base_rate_where_codes_say_nothing() -> None:
    actions = np.tile(np.arange(6), 20)[None]
    found = agreement(np.zeros_like(actions), actions, NAMES)
    assert abs(found["mutual_information_bits"]) < 1e-9
    assert found["left_or_right_accuracy"] == found["left_or_right_base"] == 0.5


def test_agreement_is_empty_without_labels() -> None:
    codes = np.zeros((1, 4), int)
    assert agreement(codes, np.full((1, 4), 255), NAMES) == {}
    assert agreement(codes, codes, ()) == {}


def test_a_scroll_further_than_the_reach_is_recognised_on_a_quarter_of_the_size() -> None:
    motion = QuarterMotion(LatentActionConfig(resolution=(64, 96), reach_rows=4, reach_columns=6))
    blocks = torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(0)) * 2 - 1
    frames = blocks.repeat_interleave(8, 2).repeat_interleave(8, 3)
    offsets = torch.tensor([[-8, 20], [12, -24]])  # pixels; the reach is 4 and 6
    after = move(frames, offsets)
    assert torch.equal(4 * motion.measure(frames, after), offsets)
    rows, columns = motion(frames, after).split([9, 13], dim=1)
    assert (rows.argmax(1) - 4).tolist() == [-2, 3]
    assert (columns.argmax(1) - 6).tolist() == [5, -6]


def test_codes_come_to_say_where_the_picture_goes() -> None:
    """Pictures that scroll left, right or not at all; 150 steps, then the code alone tells which."""
    torch.manual_seed(0)
    model = LatentActionModel(LatentActionConfig(width=8, reach_rows=2, reach_columns=6))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(1)

    def batch(size: int = 24) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        side = torch.randint(-1, 2, (size,), generator=generator)
        blocks = torch.rand(size, 3, 8, 8, generator=generator) * 2 - 1
        frames = blocks.repeat_interleave(8, 2).repeat_interleave(8, 3)
        return frames, move(frames, torch.stack([torch.zeros_like(side), 16 * side], dim=1)), side

    for _ in range(150):
        frame, after, _ = batch()
        _, _, commitment, direction = model(frame, frame, after)
        (direction + commitment).backward()
        optimizer.step()
        optimizer.zero_grad()
    frame, after, side = batch(200)
    codes = model.eval().infer(frame, frame, after)
    assert majority_accuracy(codes.numpy(), side.numpy() + 1) > 0.9
    standing = codes == model.idle()  # what happens while no key is held
    assert standing.any() and (side[standing] == 0).float().mean() > 0.8


def test_a_model_without_a_reach_is_the_one_there_was_before_and_is_written_so() -> None:
    config = LatentActionConfig(width=16)
    assert config.model_dump() == {"resolution": (64, 64), "actions": 8, "code_width": 16, "width": 16, "blocks": 1}
    assert not any("motion" in name for name in LatentActionModel(config).state_dict())
    reaching = LatentActionConfig(width=16, reach_columns=4)
    assert LatentActionConfig.model_validate(reaching.model_dump()) == reaching
    manifest = open_bundle("coinrun").manifest
    assert manifest.graphs is not None
    assert manifest.graphs.made_for == manifest.weights_digest


def test_under_a_still_camera_what_differs_is_scaled_up() -> None:
    """A paddle of 2×8 pixels on an empty field moves or stands: the latents of both are nearly one vector, unless they are spread."""
    torch.manual_seed(0)
    field = torch.full((64, 3, 3, 64, 64), -0.5)
    for row in range(64):
        for t in range(3):
            top = 20 + row % 8 + 6 * (row % 2) * (t == 2)
            field[row, t, :, top : top + 8, 56:58] = 0.5

    def likeness(spread: bool) -> float:
        model = LatentActionModel(LatentActionConfig(width=16, spread=spread)).train()
        latent = F.normalize(model._latent(*field.unbind(1)), dim=-1)
        return float((latent[0::2] @ latent[1::2].T).detach().mean())

    assert likeness(spread=False) > 0.95
    assert abs(likeness(spread=True)) < 0.7


def test_pooled_codes_say_how_a_thing_moved_and_not_where() -> None:
    def frames(place: tuple[int, int], step: int) -> list[torch.Tensor]:
        made = []
        for t in range(3):
            frame = torch.full((1, 3, 96, 96), -0.5)
            y, x = place[0] + step * t, place[1]
            frame[..., y : y + 8, x : x + 2] = 0.5
            made.append(frame)
        return made

    torch.manual_seed(0)
    for pooled in (True, False):
        model = LatentActionModel(LatentActionConfig(resolution=(96, 96), width=16, pooled=pooled)).eval()
        with torch.no_grad():
            up, down, elsewhere = (model._latent(*frames(*way)) for way in (((48, 40), -3), ((48, 40), 3), ((64, 56), 3)))
        near, far = (down - elsewhere).norm(), (down - up).norm()
        assert (near < 0.1 * far) == pooled  # not nought: the picture's edges are near


def test_a_model_that_is_not_pooled_is_written_as_before() -> None:
    assert not {"pooled", "spread"} & set(LatentActionConfig().model_dump())
    assert LatentActionConfig.model_validate(LatentActionConfig(pooled=True).model_dump()).pooled
