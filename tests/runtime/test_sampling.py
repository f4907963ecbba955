"""Sampling and noise: schedules, determinism, distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genie.errors import GenieError
from genie.runtime.graphs import choose
from genie.runtime.noise import uniform
from genie.runtime.sampling import Sampling


@given(passes=st.integers(1, 16), total=st.integers(1, 300), schedule=st.sampled_from(["cosine", "linear"]))
def test_the_schedule_grows_and_ends_with_everything(passes: int, total: int, schedule: str) -> None:
    sampling = Sampling(passes=passes, schedule=schedule)
    kept = [sampling.kept_after(done, total) for done in range(1, passes + 1)]
    assert kept == sorted(kept)
    assert kept[0] >= 1
    assert kept[-1] == total


def drawn(logits: list[float], noise: float, temperature: float, rows: int = 1) -> torch.Tensor:
    """Codes of `rows` frames of one position and code, with everything unmasked."""
    shape = (rows, 1, 1)
    spread = torch.full((rows, 2, 1, 1), noise) if noise >= 0 else torch.from_numpy(uniform(0, 0, 0, (rows, 2, 1, 1)))
    unknown = torch.zeros(shape, dtype=torch.bool)
    codes, known = choose(
        torch.tensor(logits).expand(*shape, len(logits)), torch.zeros(shape, dtype=torch.int64), unknown, spread,
        torch.tensor(temperature), torch.tensor(0.0), torch.tensor(1), block=3,
    )  # fmt: skip
    assert known.all()
    return codes.flatten()


def test_draws_follow_the_distribution() -> None:
    share = [0.1, 0.2, 0.05, 0.25, 0.0, 0.4]
    codes = drawn([math.log(max(p, 1e-30)) for p in share], -1.0, 1.0, rows=20000)
    torch.testing.assert_close(torch.bincount(codes, minlength=6) / len(codes), torch.tensor(share), atol=0.015, rtol=0)


@pytest.mark.parametrize("noise", [0.0, 0.3, 1 - 2**-24])
@pytest.mark.parametrize("best", range(6))
def test_temperature_zero_takes_the_likeliest_code(best: int, noise: float) -> None:
    logits = [2.0] * 6
    logits[best] = 3.0
    assert drawn(logits, noise, 0.0).tolist() == [best]


def test_noise_next_to_one_stays_inside_the_vocabulary() -> None:
    assert drawn(torch.randn(9).tolist(), 1 - 2**-24, 0.5).item() < 9


def test_the_surest_codes_are_fixed_first_and_stay() -> None:
    logits = torch.zeros(1, 4, 1, 3)
    logits[0, :, 0, 2] = torch.tensor([1.0, 9.0, 5.0, 2.0])  # how sure code 2 is at each position
    unknown, noise = torch.zeros(1, 4, 1, dtype=torch.bool), torch.full((1, 2, 4, 1), 0.999)
    codes, known = choose(logits, torch.zeros_like(unknown, dtype=torch.int64), unknown, noise, *numbers(keep=1))
    assert known.flatten().tolist() == [False, True, False, False]
    codes, known = choose(logits.flip(-1), codes, known, torch.zeros_like(noise), *numbers(keep=3))
    assert known.flatten().tolist() == [False, True, True, True]
    assert codes.flatten().tolist() == [0, 2, 0, 0]  # the fixed one stayed, the others were drawn again


def test_equally_sure_codes_are_fixed_in_order() -> None:
    unknown = torch.zeros(1, 4, 1, dtype=torch.bool)
    _, known = choose(torch.zeros(1, 4, 1, 3), unknown.long(), unknown, torch.zeros(1, 2, 4, 1), *numbers(keep=2))
    assert known.flatten().tolist() == [True, True, False, False]


def test_order_noise_changes_which_codes_come_first() -> None:
    unknown = torch.zeros(1, 8, 1, dtype=torch.bool)
    orders = set()
    for frame in range(8):
        noise = torch.from_numpy(uniform(0, 0, frame, (1, 2, 8, 1)))
        _, known = choose(torch.zeros(1, 8, 1, 3), unknown.long(), unknown, noise, *numbers(keep=2, order=5.0))
        orders.add(tuple(known.flatten().tolist()))
    assert len(orders) > 2


def numbers(keep: int, order: float = 0.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]:
    """Temperature 1, weight of the order's noise, how many to keep, codes in a block."""
    return torch.tensor(1.0), torch.tensor(order), torch.tensor(keep), 3


def test_noise_belongs_to_seed_salt_and_frame() -> None:
    base = uniform(1, 2, 3, (4, 5))
    assert np.array_equal(base, uniform(1, 2, 3, (4, 5)))
    assert base.dtype == np.float32
    assert (base >= 0).all()
    assert (base < 1).all()
    for other in ((0, 2, 3), (1, 0, 3), (1, 2, 4)):
        assert not np.array_equal(base, uniform(*other, (4, 5)))


@pytest.mark.parametrize("wrong", [{"passes": 0}, {"temperature": -1.0}, {"schedule": "sine"}, {"speed": 3}])
def test_a_wrong_override_says_which(wrong: dict) -> None:
    with pytest.raises(GenieError, match=f"sampling: {next(iter(wrong))}"):
        Sampling().override(wrong)
