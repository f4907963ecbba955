"""The training loop by itself, on a line to be fitted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genie.errors import TrainingError
from genie.training.loop import MOST_UNUSABLE, Plan, Validation, train


class Line:
    """y = 2 x; at some steps the gradient, or the loss too, is no number."""

    name = "line"
    key_metric = "slope"

    def __init__(self, unusable: range, whole: bool = False) -> None:
        self.model = nn.Linear(1, 1)
        self._unusable, self._whole = unusable, whole

    def batch(self, step: int) -> int:
        return step

    def loss(self, batch: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float], int]:
        x = torch.rand(16, 1, generator=generator)
        loss = (self.model(x) - 2 * x).square().mean()
        if batch in self._unusable:
            nought = (self.model.weight - self.model.weight).sum()
            loss = loss * float("nan") if self._whole else loss + nought.sqrt()  # √0 is 0, its slope is not finite
        return loss, {}, 16

    def validate(self) -> Validation:
        return Validation({"slope": self.model.weight.item()}, np.zeros((8, 8, 3), np.uint8))

    def carried(self) -> dict[str, Tensor]:
        return {}

    def restore(self, carried: dict[str, Tensor]) -> None:
        return None


def test_a_few_steps_without_a_finite_gradient_are_passed_over(tmp_path: Path) -> None:
    found = train(Line(range(40, 40 + MOST_UNUSABLE)), Plan(steps=400, learning_rate=0.05), tmp_path)
    assert abs(found["slope"] - 2) < 0.1
    log = (tmp_path / "line" / "log.jsonl").read_text().splitlines()
    lines = [json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON")) for line in log]
    assert [line["step"] for line in lines if line["norm"] is None] == list(range(41, 41 + MOST_UNUSABLE))


def test_more_of_them_end_the_training_and_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"not finite at step 43, and it cannot be passed over; lower the learning_rate"):
        train(Line(range(40, 41 + MOST_UNUSABLE)), Plan(steps=400, learning_rate=0.05), tmp_path)


def test_a_loss_that_is_no_number_is_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"not finite at step 40"):
        train(Line(range(40, 41), whole=True), Plan(steps=400, learning_rate=0.05), tmp_path)
