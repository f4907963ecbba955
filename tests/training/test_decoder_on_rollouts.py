"""The tokenizer's second lesson: its decoder learns from what the world makes by itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from safetensors.torch import load_file
from typer.testing import CliRunner

import genie
from genie.cli.app import app
from genie.data.clips import ClipSampler
from genie.data.store import Dataset
from genie.errors import TrainingError
from genie.runtime.torch_engine import TorchEngine
from genie.training.own_rollouts import RolloutPlan, RolloutReader, make_rollouts
from genie.training.settings import presets
from genie.training.tokenizer_stage import TokenizerData, TokenizerObjective, keep_loss, standing_out
from genie.weights import load_models
from genie.world import open_bundle
from tokenizer.model import to_float, to_uint8
from tokenizer.motion import move


@pytest.fixture(scope="module")
def engine(smoke_run: Path) -> TorchEngine:
    engine = genie.load_world(smoke_run / "world", backend="torch").engine
    assert isinstance(engine, TorchEngine)
    return engine


@pytest.fixture(scope="module")
def rollouts(dataset: Dataset, engine: TorchEngine, smoke_run: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    world = genie.load_world(smoke_run / "world")
    plan = RolloutPlan(frames=64 * 10, length=10, skip=2)
    return make_rollouts(dataset, engine, world.action_table, world.sampling, plan, tmp_path_factory.mktemp("rollouts"))


def test_a_step_of_a_rollout_is_what_the_world_painted_beside_the_real_frame(
    dataset: Dataset, smoke_run: Path, engine: TorchEngine, rollouts: list[Path]
) -> None:
    tokenizer, _, _ = load_models(open_bundle(smoke_run / "world"))
    own, real = RolloutReader(rollouts), ClipSampler(dataset.split("train"), 10, 2, 0)
    truth = real.read(own.starts).frames
    steps = own.steps(np.random.default_rng(0), real, 40)
    codes, motion = (torch.from_numpy(part) for part in engine.codec.unpack(steps.tokens))
    with torch.no_grad():
        moved = move(to_float(torch.from_numpy(steps.before)), motion, engine.codec.config.margin)
        painted = to_uint8(tokenizer.decode(moved, codes)).numpy()
    assert (own.alike <= own.seen).all() and own.alike.sum() < own.seen.sum()  # what has just come into view no drawn code foretells
    made = engine.codec.without_margin(own.frames)
    for frame, after, counts in zip(painted, steps.after, steps.counts, strict=True):
        nearest = np.abs(made[:, 4:].astype(int) - frame).max(axis=(2, 3, 4))
        row, moment = np.unravel_index(nearest.argmin(), nearest.shape)
        assert nearest.min() <= 1  # made by the world; in a batch of another size it rounds differently
        same = (truth[:, 4:] == after).all(axis=(2, 3, 4))
        assert same[row, moment]
        assert any(np.array_equal(counts, own.alike[r, m + 4]) for r, m in zip(*np.nonzero(same), strict=True))


def test_only_the_decoder_learns_and_meets_its_own_frames_in_every_second_batch(dataset: Dataset, rollouts: list[Path]) -> None:
    config = presets()["smoke"].tokenizer
    objective = TokenizerObjective(dataset, config, TokenizerData(rows=2, walk=4), rollouts)
    plain = TokenizerObjective(dataset, config, TokenizerData(rows=2, walk=4))
    for step in range(3):
        walked, walks = objective.batch(2 * step), plain.batch(step)
        assert isinstance(walked, tuple) and isinstance(walks, tuple)
        assert np.array_equal(walked[0].frames, walks[0].frames) and np.array_equal(walked[1], walks[1])
    assert {name.partition(".")[0] for name, weight in objective.model.named_parameters() if weight.requires_grad} == {"decoder"}
    own = objective.batch(1)
    losses = []
    optimizer = torch.optim.Adam((weight for weight in objective.model.parameters() if weight.requires_grad), lr=3e-3)
    for _ in range(20):
        loss, numbers, seen = objective.loss(own, torch.Generator().manual_seed(0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert seen == 6 and set(numbers) == {"psnr_own"}
    assert losses[-1] < 0.8 * losses[0]


def test_what_is_no_lesson_does_not_count(dataset: Dataset, rollouts: list[Path]) -> None:
    objective = TokenizerObjective(dataset, presets()["smoke"].tokenizer, TokenizerData(rows=2, walk=4), rollouts)
    objective._figure = np.zeros_like(objective._figure)
    own = objective.batch(1)
    assert not isinstance(own, tuple)
    own.counts[:] = False
    own.counts[:, :2] = True
    other = own.after.copy()
    other[:, 32:] = 255 - other[:, 32:]  # far below what counts, and what stands out from its surroundings there
    changed = type(own)(own.before, own.tokens, other, own.counts)
    at_once = type(own)(own.before, own.tokens, 255 - own.after, own.counts)
    loss, _, _ = objective.loss(own, _drawn())
    assert objective.loss(changed, _drawn())[0].item() == pytest.approx(loss.item(), rel=1e-5)
    assert objective.loss(at_once, _drawn())[0].item() != pytest.approx(loss.item(), rel=1e-2)


def _drawn() -> torch.Generator:
    """A generator under which every step is painted from the codes that were drawn."""
    for seed in range(100_000):
        if (torch.rand(6, generator=torch.Generator().manual_seed(seed)) >= 0.5).all():
            return torch.Generator().manual_seed(seed)
    raise AssertionError


def test_a_speck_stands_out_and_an_even_picture_does_not() -> None:
    frames = torch.full((1, 3, 16, 16), -0.5)
    assert torch.allclose(standing_out(frames), torch.zeros(()), atol=1e-6)  # to the picture's very edge
    frames[0, 0, 8, 8] = 0.5
    out = standing_out(frames)[0, 0]
    assert out[8, 8].item() == pytest.approx(48 / 49)
    assert out[8, 9].item() == pytest.approx(1 / 49) and out[0, 0].item() == pytest.approx(0, abs=1e-6)
    frames[0, 0, 8, 8] = 1.0
    assert standing_out(frames)[0, 0, 8, 8].item() == 1.0


def test_the_gate_is_asked_only_where_a_pixel_counts() -> None:
    frame, previous, painted = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    keep, weight = torch.full((1, 1, 4, 4), 8.0), torch.ones(1, 1, 4, 4)
    keep[..., 2:], weight[..., 2:] = -8.0, 0.0  # half of it is wrong
    assert keep_loss(keep, previous, painted, frame) > 3.9
    assert keep_loss(keep, previous, painted, frame, weight) < 0.001


def test_a_world_learns_from_its_rollouts_in_both_models_by_one_command(smoke_run: Path, dataset: Dataset, tmp_path: Path) -> None:
    def train(name: str, *more: str) -> Result:
        command = ["train", str(dataset.path), "--out", str(tmp_path / name), "--preset", "smoke", "--set", "tokenizer_own=true"]
        return CliRunner().invoke(app, [*command, "--steps", "4", *more], env={"COLUMNS": "200"})

    base = ["--base", str(smoke_run / "world"), "--fine-tune", "tokenizer"]
    refused = train("alone", *base)
    assert isinstance(refused.exception, TrainingError) and "--fine-tune tokenizer --fine-tune dynamics" in str(refused.exception)
    refused = train("other", *base, "--fine-tune", "dynamics", "--set", "tokenizer.codes=8")
    assert isinstance(refused.exception, TrainingError) and "leave out what changes" in str(refused.exception)
    done = train("both", *base, "--fine-tune", "dynamics")
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "both" / "rollouts").iterdir())) == 1  # made once, for both
    before, after = (load_file(path / "world" / "tokenizer.safetensors") for path in (smoke_run, tmp_path / "both"))
    learned = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert learned == {"decoder"}
    for told in ("decoder.usual", "decoder.farthest"):  # it learned to hear codes so
        assert before[told].any() and torch.equal(before[told], after[told])
    log = [json.loads(line) for line in (tmp_path / "both" / "tokenizer" / "log.jsonl").read_text().splitlines()]
    assert any("psnr_own" in line for line in log) and any("psnr" in line for line in log)
