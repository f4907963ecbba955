"""The dynamics: causal in time, the action matters, the loss counts what was hidden."""

from __future__ import annotations

import torch

from genie.configs import DynamicsConfig
from genie.dynamics import Dynamics, masked_loss, random_known, rotary
from tokenizer import TokenizerConfig

TOKENIZER = TokenizerConfig(codes=4, levels=(5, 5, 5))
CONFIG = DynamicsConfig(actions=5, width=32, layers=2, heads=4, context=4, frame_width=16)


def model() -> Dynamics:
    torch.manual_seed(0)
    made = Dynamics(CONFIG, TOKENIZER).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return made


def inputs(slots: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    frames = torch.rand((2, slots, 6, 64, 64), generator=generator)
    codes = torch.randint(125, (2, slots, 16, 4), generator=generator)
    known = torch.rand(codes.shape, generator=generator) < 0.5
    return frames, codes, known, torch.randint(5, (2, slots), generator=generator)


@torch.no_grad()
def test_a_slot_does_not_see_the_future_nor_past_the_context() -> None:
    dynamics = model()
    frames, codes, known, actions = inputs(8)
    before = dynamics(frames, codes, known, actions)
    frames[:, 5] += 1.0
    after = dynamics(frames, codes, known, actions)
    assert torch.equal(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5], after[:, 5])
    two_layers_reach = 2 * (CONFIG.context - 1)
    frames2 = frames.clone()
    frames2[:, 0] += 1.0
    assert two_layers_reach == 6
    torch.testing.assert_close(dynamics(frames2, codes, known, actions)[:, 7], after[:, 7], atol=1e-6, rtol=0)


@torch.no_grad()
def test_another_action_gives_other_logits() -> None:
    dynamics = model()
    frames, codes, known, actions = inputs(3)
    changed = actions.clone()
    changed[:, 2] = (actions[:, 2] + 1) % 5
    a, b = dynamics(frames, codes, known, actions), dynamics(frames, codes, known, changed)
    assert torch.equal(a[:, :2], b[:, :2])
    assert (a[:, 2] - b[:, 2]).abs().max() > 1e-3


def test_the_loss_counts_hidden_codes_only() -> None:
    logits = torch.zeros(1, 1, 2, 1, 4)
    logits[..., 0, 0, 1] = 100.0
    codes = torch.tensor([[[[1], [3]]]])
    known = torch.tensor([[[[False], [True]]]])
    even = torch.ones(codes.shape)
    assert masked_loss(logits, codes, known, even).item() < 1e-6
    assert abs(masked_loss(logits, codes, ~known, even).item() - torch.log(torch.tensor(4.0)).item()) < 1e-6


def test_the_loss_is_the_weighted_mean() -> None:
    logits = torch.zeros(1, 1, 2, 1, 4)
    logits[..., 0, 0, 1] = 100.0  # the first code is certain, the second a guess among four
    codes, known = torch.tensor([[[[1], [3]]]]), torch.zeros(1, 1, 2, 1, dtype=torch.bool)
    weight = torch.tensor([[[[3.0], [1.0]]]])
    assert abs(masked_loss(logits, codes, known, weight).item() - torch.log(torch.tensor(4.0)).item() / 4) < 1e-6
    assert masked_loss(logits, codes, known, torch.zeros_like(weight)) == 0  # none of them counts


def test_half_of_the_slots_hide_everything_and_a_tenth_nothing() -> None:
    known = random_known(torch.Size((200, 20, 16, 4)), torch.Generator().manual_seed(0)).flatten(2)
    assert 0.47 < (~known.any(-1)).float().mean() < 0.56
    assert 0.08 < known.all(-1).float().mean() < 0.13


def test_a_million_frames_on_the_rotation_is_as_exact_as_at_the_start() -> None:
    cos0, sin0 = rotary(torch.tensor([0, 3]), 32)
    cos1, sin1 = rotary(torch.tensor([10**6, 10**6 + 3]), 32)
    difference = lambda c, s: c[0] * c[1] + s[0] * s[1]  # noqa: E731 (cosine of the angle between the two)
    torch.testing.assert_close(difference(cos0, sin0), difference(cos1, sin1), atol=1e-6, rtol=0)
