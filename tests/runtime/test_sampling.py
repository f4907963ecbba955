"""Sampling and noise: schedules, determinism, distributions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genie.errors import GenieError
from genie.runtime.noise import uniform
from genie.runtime.sampling import Sampling, draw, unmask


@given(passes=st.integers(1, 16), total=st.integers(1, 300), schedule=st.sampled_from(["cosine", "linear"]))
def test_the_schedule_grows_and_ends_with_everything(passes: int, total: int, schedule: str) -> None:
    sampling = Sampling(passes=passes, schedule=schedule)
    kept = [sampling.kept_after(done, total) for done in range(1, passes + 1)]
    assert kept == sorted(kept)
    assert kept[0] >= 1
    assert kept[-1] == total


def test_draws_follow_the_distribution() -> None:
    logits = torch.log(torch.tensor([0.1, 0.2, 0.7])).expand(20000, 3)
    noise = torch.from_numpy(uniform(0, 0, 0, (20000,)))
    codes, probability = draw(logits, noise, temperature=1.0)
    share = torch.bincount(codes, minlength=3) / len(codes)
    torch.testing.assert_close(share, torch.tensor([0.1, 0.2, 0.7]), atol=0.015, rtol=0)
    torch.testing.assert_close(probability, torch.tensor([0.1, 0.2, 0.7])[codes], atol=1e-5, rtol=0)


def test_temperature_zero_takes_the_likeliest_code() -> None:
    codes, _ = draw(torch.tensor([[1.0, 3.0, 2.0]]), torch.tensor([0.999]), temperature=0.0)
    assert codes.tolist() == [1]


def test_noise_next_to_one_stays_inside_the_vocabulary() -> None:
    codes, _ = draw(torch.randn(1000, 7), torch.full((1000,), 1 - 2**-24), temperature=0.5)
    assert codes.max() < 7


def test_the_surest_codes_are_fixed_first_and_stay() -> None:
    sampling = Sampling(passes=2)
    probability = torch.tensor([[[0.1], [0.9], [0.5], [0.2]]])
    drawn = torch.tensor([[[10], [11], [12], [13]]])
    nothing = torch.zeros_like(drawn, dtype=torch.bool)
    codes, known = unmask(torch.zeros_like(drawn), nothing, drawn, probability, torch.zeros_like(probability), sampling, done=1)
    assert known.flatten().tolist() == [False, True, False, False]
    codes, known = unmask(codes, known, drawn + 10, 1 - probability, torch.zeros_like(probability), sampling, done=2)
    assert known.all()
    assert codes.flatten().tolist() == [20, 11, 22, 23]


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
