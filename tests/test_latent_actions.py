"""The latent action model: codes from frames alone, and figures that know constructed answers."""

from __future__ import annotations

import numpy as np
import torch

from genie.configs import LatentActionConfig
from genie.latent_actions import LatentActionModel
from genie.training.latent_stage import agreement

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
