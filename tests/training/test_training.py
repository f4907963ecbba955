"""Training: three stages to a world in a minute, bounded as asked, resumable after `kill -9` on the same curve."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

import genie
from genie.bundle import Marks, put_marks
from genie.cli.app import app
from genie.cli.train import same_game
from genie.configs import DynamicsConfig
from genie.data.clips import ClipSampler
from genie.data.store import Dataset, DatasetInfo, DatasetWriter
from genie.dynamics import Dynamics
from genie.errors import TrainingError
from genie.evaluation.gate import judge
from genie.evaluation.protocols import PROTOCOLS
from genie.evaluation.run import evaluate
from genie.runtime.actions import ActionTable
from genie.runtime.torch_engine import TorchEngine
from genie.training.chance import normal_like
from genie.training.checkpoints import adopt, load_tensors, save_tensors
from genie.training.dynamics_stage import by_code, contrast, news
from genie.training.loop import MODEL_FILE, Plan
from genie.training.own_rollouts import RolloutPlan, RolloutReader, after_faded, make_rollouts, where_a_figure_is
from genie.training.pipeline import Pipeline, _uncentre_where_new, actions_of, take_over
from genie.training.settings import STAGES, Settings, open_run, presets, read_settings
from genie.training.tokenizer_stage import TokenizerData, TokenizerObjective, hearsay, keep_loss
from genie.world import open_bundle
from tokenizer import TokenizerConfig
from tokenizer.model import to_float


def pipeline_of(run: Path, data: Path) -> Pipeline:
    return Pipeline(Dataset(data), run, read_settings(run))


def log_of(run: Path, stage: str) -> list[dict]:
    return [json.loads(line) for line in (run / stage / "log.jsonl").read_text().splitlines()]


def test_the_smoke_run_learns_in_every_stage_and_makes_a_world(smoke_run: Path) -> None:
    for stage in ("tokenizer", "latent_actions", "dynamics"):
        losses = [line["loss"] for line in log_of(smoke_run, stage)]
        assert np.mean(losses[-8:]) < np.mean(losses[:8]), stage
        validation = json.loads((smoke_run / stage / "validation.jsonl").read_text().splitlines()[-1])
        assert all(np.isfinite(value) for value in validation.values())
        sheet = next((smoke_run / stage).glob("validation_*.png"))
        assert Image.open(sheet).size[0] > 200
        assert list((smoke_run / stage).glob("events.out.tfevents.*"))
    world = genie.load_world(smoke_run / "world")
    assert world.start(seed=1).step("right").shape == (64, 64, 3)
    card = (smoke_run / "world" / "README.md").read_text()
    assert "procgen" in card
    assert "MIT" in card
    assert "remembered 24 pixels around the picture" in card


def test_code_use_and_changed_pixels_are_in_the_tokenizers_log(smoke_run: Path) -> None:
    validation = json.loads((smoke_run / "tokenizer" / "validation.jsonl").read_text().splitlines()[-1])
    assert {"code_perplexity", "codes_used", "psnr_changed_pixels", "psnr", "psnr_copy"} <= validation.keys()
    latent = json.loads((smoke_run / "latent_actions" / "validation.jsonl").read_text().splitlines()[-1])
    assert {"codes_in_use", "mutual_information_bits", "action_accuracy", "left_or_right_accuracy"} <= latent.keys()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: training on one is tested where one is")
def test_a_gpu_learns_the_same_lessons_and_its_run_goes_on_without_one(smoke_run: Path, dataset: Dataset, tmp_path: Path) -> None:
    settings = presets()["smoke"].bounded(None, 6)
    run = tmp_path / "run"
    assert Pipeline(dataset, run, open_run(run, dataset, settings), device="cuda").train() is not None
    for stage in ("tokenizer", "latent_actions"):  # the dynamics learns from codes that rounding may have made others
        for here, there in zip(log_of(run, stage)[:3], log_of(smoke_run, stage), strict=False):
            assert here["loss"] == pytest.approx(there["loss"], rel=0.05), stage
    longer = open_run(run, dataset, settings.bounded(None, 8, "dynamics"))
    Pipeline(dataset, run, longer).learn("dynamics")
    assert log_of(run, "dynamics")[-1]["step"] == 8


def test_noise_is_chances_own_and_the_same_again() -> None:
    x = torch.zeros(64, 64)
    made = [normal_like(x, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])
    assert abs(made[0].mean()) < 0.1 and abs(made[0].std() - 1) < 0.1


def test_a_run_is_given_more_rows_in_every_stage(dataset_path: Path, tmp_path: Path) -> None:
    asked = ["train", str(dataset_path), "--out", str(tmp_path / "run"), "--preset", "smoke", "--stage", "latent_actions"]
    ended = CliRunner().invoke(app, [*asked, "--steps", "1", "--rows", "7"])
    assert ended.exit_code == 0, ended.output
    assert {stage.rows for stage in read_settings(tmp_path / "run").stages.values()} == {7}


def test_a_gpu_that_is_not_there_is_named_before_anything_is_written(dataset_path: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    ended = CliRunner().invoke(app, ["train", str(dataset_path), "--out", str(tmp_path / "run"), "--device", "cuda"])
    assert "no NVIDIA GPU" in str(ended.exception or ended.output) and not (tmp_path / "run").exists()


def test_a_finished_run_is_not_trained_again(smoke_run: Path, dataset: Dataset, tmp_path: Path) -> None:
    run = shutil.copytree(smoke_run, tmp_path / "run")
    before = (run / "dynamics" / "log.jsonl").read_bytes()
    found = open_bundle(run / "world").manifest.weights_digest
    put_marks(run / "world", Marks(weights=found, shippable=True, date="today", dataset="d", clips=4, seed=0, figures={}))
    pipeline = Pipeline(dataset, run, open_run(run, dataset))
    assert pipeline.train() == run / "world"
    assert (run / "dynamics" / "log.jsonl").read_bytes() == before
    assert open_bundle(run / "world").marks is not None  # nor is its world written anew
    tensors, note = load_tensors(run / "dynamics" / MODEL_FILE)
    save_tensors(run / "dynamics" / MODEL_FILE, {name: value + value.abs().max() for name, value in tensors.items()}, note)
    assert not pipeline._is_exported()
    shutil.rmtree(run / "world")
    assert not pipeline._is_exported()


def test_without_labels_a_world_has_latent_actions_only(dataset: Dataset, smoke_run: Path, tmp_path: Path) -> None:
    unlabelled = Dataset(dataset.path)
    for split in ("train", "held_out"):
        unlabelled.split(split).actions[:] = 255  # type: ignore[arg-type]
    unlabelled.info = dataset.info.model_copy(update={"action_names": (), "action_keys": ()})
    settings = open_run(tmp_path / "run", unlabelled, presets()["smoke"].bounded(None, 4))
    pipeline = Pipeline(unlabelled, tmp_path / "run", settings)
    pipeline.learn()
    world = genie.load_world(pipeline.write_world())
    assert [action.name for action in world.actions] == [f"action {i}" for i in range(8)]
    assert world.start().step("action 3").shape == (64, 64, 3)


@pytest.mark.parametrize("kind", ["latent", "recorded"])
def test_a_world_can_hear_one_kind_of_action_alone(kind: str, dataset: Dataset, smoke_run: Path, tmp_path: Path) -> None:
    base = ["--base", str(smoke_run / "world"), "--preset", "smoke", "--fine-tune", "dynamics"]
    command = ["train", str(dataset.path), "--out", str(tmp_path / "run"), *base, "--steps", "3", "--actions", kind]
    done = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "new parts: action" in " ".join(done.output.split())  # and no rollouts of a dynamics that does not know these actions
    assert not (tmp_path / "run" / "rollouts").exists()
    world = genie.load_world(tmp_path / "run" / "world")
    names = dataset.info.action_names if kind == "recorded" else tuple(f"action {i}" for i in range(8))
    assert tuple(action.name for action in world.actions) == names
    assert [action.id for action in world.actions] == list(range(len(names)))
    if kind == "recorded":
        assert world.action_table.idle.name == "noop"
        assert world.action_table.for_keys(frozenset({"left"})).name == "left"
    rollout = world.start()
    assert rollout.step(names[-1]).shape == (64, 64, 3)
    metrics = json.loads((tmp_path / "run" / "dynamics" / "validation.jsonl").read_text().splitlines()[-1])
    assert ("psnr_1" in metrics, "psnr_1_recorded" in metrics) == (kind == "latent", kind == "recorded")
    report, _ = evaluate(world, dataset, tmp_path / "report", PROTOCOLS["genieredux"], clips=2)
    measured = {name: report.metric(f"delta_4_{name}") is not None for name in ("latent", "keys")}
    assert measured == {"latent": kind == "latent", "keys": kind == "recorded"}
    dead = [check.title for check in judge(report, 0.8).checks if check.title == "no dead latent code"]
    assert len(dead) == (kind == "latent")
    if kind == "recorded":
        unlabelled = Dataset(dataset.path)
        unlabelled.split("held_out").actions[:] = 255  # type: ignore[index]
        with pytest.raises(genie.GenieError, match="judge it on data with labels"):
            evaluate(world, unlabelled, tmp_path / "other", PROTOCOLS["genieredux"], clips=2)


def test_recorded_actions_alone_need_labels(dataset: Dataset) -> None:
    unlabelled = Dataset(dataset.path)
    unlabelled.split("train").actions[7] = 255  # type: ignore[index]
    with pytest.raises(TrainingError, match="--actions recorded needs actions with every frame"):
        actions_of(unlabelled, 8, "recorded")
    assert len(actions_of(unlabelled, 8)) == 8 + len(dataset.info.action_names)
    ended = Dataset(dataset.path)
    ended.split("train").actions[ended.split("train").episode_ends - 1] = 255  # type: ignore[index]
    assert len(actions_of(ended, 8, "recorded")) == len(dataset.info.action_names)  # the last one of an episode leads nowhere


@pytest.mark.parametrize(("stage", "steps"), [("tokenizer", 120), ("latent_actions", 400), ("dynamics", 120)])  # some seconds of each
def test_a_killed_run_resumes_to_the_same_loss_curve(dataset_path: Path, smoke_run: Path, tmp_path: Path, stage: str, steps: int) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    flags = ["--steps", str(steps), "--stage", stage, "--threads", "1"]
    for run in (straight, killed):
        shutil.copytree(smoke_run, run)
        for part in {stage, "dynamics"} | ({"tokens"} if stage != "dynamics" else set()):  # nothing may have learned from what is trained
            shutil.rmtree(run / part)

    def command(run: Path) -> list[str]:
        return [sys.executable, "-m", "genie.cli.app", "train", str(dataset_path), "--out", str(run), *flags]

    process = subprocess.Popen(command(killed), stdout=subprocess.DEVNULL)
    checkpoint = killed / stage / "checkpoint.safetensors"
    deadline = time.monotonic() + 100
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)  # some steps past the checkpoint, which are made again
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert 0 < load_tensors(checkpoint)[1]["step"] < steps
    for run in (straight, killed):
        process = subprocess.Popen(command(run), stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 200
        while not (run / stage / MODEL_FILE).exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        process.kill()  # what comes after the stage, an export, is not judged here
        process.wait()
        assert (run / stage / MODEL_FILE).exists()
    a, b = log_of(straight, stage), log_of(killed, stage)
    assert [line["step"] for line in b] == list(range(1, steps + 1))
    np.testing.assert_allclose([line["loss"] for line in b], [line["loss"] for line in a], rtol=1e-4, atol=1e-6)


def test_the_summary_hears_some_cells_wrong_and_what_it_hears_instead_are_codes() -> None:
    values = torch.arange(32 * 2 * 64.0).reshape(32, 2, 8, 8).requires_grad_()
    heard = hearsay(values, torch.Generator().manual_seed(0))
    wrong = (heard != values).any(dim=1)
    shares = wrong.float().mean(dim=(1, 2))
    assert (shares == 0).any() and 0 < shares.max() <= 0.5  # some rows hear all, no row less than most
    cells = {tuple(cell) for cell in values.detach().permute(0, 2, 3, 1).flatten(0, 2).tolist()}
    assert {tuple(cell) for cell in heard.detach().permute(0, 2, 3, 1).flatten(0, 2).tolist()} <= cells
    heard.sum().backward()
    assert torch.equal(values.grad[:, 0] == 0, wrong)  # what was not heard learns nothing from it


def test_a_run_keeps_its_settings_and_its_dataset(dataset: Dataset, tmp_path: Path) -> None:
    started = open_run(tmp_path / "run", dataset, presets()["smoke"])
    assert open_run(tmp_path / "run", dataset) == started
    with pytest.raises(TrainingError, match="started with other settings"):
        open_run(tmp_path / "run", dataset, presets()["default"])
    other = Dataset(dataset.path)
    other.info = dataset.info.model_copy(update={"name": "another"})
    with pytest.raises(TrainingError, match="started on another dataset"):
        open_run(tmp_path / "run", other)
    based = presets()["smoke"].model_copy(update={"base": "w", "base_weights": "1"})
    open_run(tmp_path / "further", dataset, based)
    assert open_run(tmp_path / "further", dataset, based.model_copy(update={"base_weights": ""})).base_weights == "1"
    with pytest.raises(TrainingError, match="began with another world of the name w"):
        open_run(tmp_path / "further", dataset, based.model_copy(update={"base_weights": "2"}))


def test_any_setting_can_be_said_and_what_is_none_is_told() -> None:
    smoke = presets()["smoke"]
    changed = smoke.changed(
        ["tokenizer.codes=8", "tokenizer.mosaic=32", "stages.dynamics.minutes=1.5", "code_cost=0.01", "dynamics.width=32"]
    )
    assert (changed.tokenizer.codes, changed.tokenizer.mosaic, changed.tokenizer.width) == (8, 32, smoke.tokenizer.width)
    assert changed.stages["dynamics"].minutes == 1.5 and changed.stages["tokenizer"] == smoke.stages["tokenizer"]
    assert (changed.code_cost, changed.dynamics["width"]) == (0.01, 32)
    assert smoke.changed([]) == smoke
    assert changed.stages["dynamics"].steps is None  # a stage is bounded by one of the two, the last said
    assert changed.changed(["stages.dynamics.steps=7"]).stages["dynamics"].minutes is None
    for wrong, told in {
        "tokenizer.codes": "not name=value",
        "tokenizer.codes=7": "multiple of the 4 cells",
        "tokenizer.code=8": "not permitted",
        "tokeniser.codes=8": "no setting of that name",
        "code_cost=much": "valid number",
        "stages.dynamics.rows.many=1": "no setting of that name",
        "base=coinrun": "--base",
        "seed=-1": "greater than or equal to 0",
        "stages.dynamics.steps=0": "greater than or equal to 1",
        "stages.dynamics.minutes=-2": "greater than 0",
        "stages={}": "lacks tokenizer, latent_actions, dynamics",
        "slots=17": "does not fit in walks of token_length 17",
    }.items():
        with pytest.raises(TrainingError, match=told):
            smoke.changed([wrong])


def test_a_run_can_be_given_more_time(dataset: Dataset, tmp_path: Path) -> None:
    started = open_run(tmp_path / "run", dataset, presets()["smoke"])
    longer = open_run(tmp_path / "run", dataset, started.bounded(None, 99, "dynamics"))
    assert [longer.stages[name].steps for name in ("tokenizer", "latent_actions", "dynamics")] == [40, 40, 99]
    assert open_run(tmp_path / "run", dataset) == longer


def test_a_run_on_the_base_of_a_world_trains_its_dynamics_further_and_nothing_else(
    dataset: Dataset, smoke_run: Path, tmp_path: Path
) -> None:
    base = open_bundle(smoke_run / "world")
    more = {"dynamics_planted": 0.5, "blend": 0.25}  # which must not hurt
    wanted = presets()["smoke"].based_on(base, ("dynamics",)).bounded(None, 3, "dynamics").model_copy(update=more)
    settings = open_run(tmp_path / "run", dataset, wanted)
    take_over(tmp_path / "run", base, settings.fine_tune)
    pipeline = Pipeline(dataset, tmp_path / "run", settings)
    pipeline.learn("dynamics")
    made = open_bundle(pipeline.write_world()).manifest
    for name in ("tokenizer", "latent_actions"):
        assert made.files[f"{name}.safetensors"] == base.manifest.files[f"{name}.safetensors"]
        source = {"data": dataset.info.name, "licence": dataset.info.licence}
        assert made.training["stages"][name] == base.manifest.training["stages"][name] | source
        assert not (tmp_path / "run" / name / "log.jsonl").exists()
    dynamics, first = made.training["stages"]["dynamics"], base.manifest.training["stages"]["dynamics"]
    assert dynamics["steps"] == 3 and "thread" in dynamics["machine"]
    assert [(go["steps"], go["machine"]) for go in dynamics["before"]] == [(first["steps"], first["machine"])]
    assert all("before" not in go for go in dynamics["before"])
    card = (tmp_path / "run" / "world" / "README.md").read_text()
    assert f"| dynamics, go 1, on {dataset.info.name} |" in card and "| dynamics, go 2, 25% of it blended in | 0.0 | 3 |" in card
    begun, _ = load_tensors(tmp_path / "run" / "dynamics" / "beginning.safetensors")
    mixed, note = load_tensors(tmp_path / "run" / "dynamics" / MODEL_FILE)
    trained, _ = load_tensors(tmp_path / "run" / "dynamics" / "checkpoint.safetensors")
    for name in [name for name, value in mixed.items() if value.is_floating_point()]:
        assert torch.allclose(mixed[name], 0.25 * trained[f"ema/{name}"] + 0.75 * begun[name].to(mixed[name]), atol=1e-5)
    assert note["blend"] == 0.25 and dynamics["metrics"]["psnr_1"] == round(note["metrics"]["psnr_1"], 4)
    assert log_of(tmp_path / "run", "dynamics")[0]["loss"] < 0.9 * log_of(smoke_run, "dynamics")[0]["loss"]
    assert read_settings(tmp_path / "run").base == base.manifest.name


def test_a_dynamics_trained_further_may_learn_in_some_of_its_weights_alone(dataset: Dataset, smoke_run: Path, tmp_path: Path) -> None:
    base = ["--base", str(smoke_run / "world"), "--preset", "smoke", "--fine-tune", "dynamics", "--set", "own_frames=0"]

    def train(name: str, patterns: str) -> Result:
        command = ["train", str(dataset.path), "--out", str(tmp_path / name), *base, "--set", f"dynamics_learns={patterns}", "--steps", "3"]
        return CliRunner().invoke(app, command)

    refused = train("none", '["frame.*", "nothing.*"]')
    assert isinstance(refused.exception, TrainingError) and "'nothing.*'" in str(refused.exception)
    done = train("some", '["blocks.*_out.weight", "frame.*"]')
    assert done.exit_code == 0, done.output
    before, after = (load_file(path / "world" / "dynamics.safetensors") for path in (smoke_run, tmp_path / "some"))
    learned = {name for name in before if not torch.equal(before[name], after[name])}
    assert learned == {name for name in before if name.startswith("frame.") or ("blocks." in name and name.endswith("_out.weight"))}


def test_a_world_of_another_game_and_size_begins_with_what_fits(smoke_run: Path, tmp_path: Path) -> None:
    data = DatasetWriter(
        tmp_path / "data",
        DatasetInfo(
            name="other", resolution=(64, 96), game_rate=15.0, frame_skip=1, action_names=("noop", "up"),
            frames={"train": 200, "held_out": 100}, recipe={}, licence="CC0",
        ),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    for split, count in (("train", 200), ("held_out", 100)):
        frames = rng.integers(0, 256, (count, 64, 96, 3), np.uint8)
        data.add(split, frames, rng.integers(0, 2, count).astype(np.uint8), np.zeros(count, np.float32), 0 if split == "train" else 1)
    data.close()

    def train(*more: str, out: str = "run") -> Result:
        command = ["train", str(tmp_path / "data"), "--out", str(tmp_path / out), "--preset", "smoke", "--base", str(smoke_run / "world")]
        return CliRunner().invoke(app, [*command, "--stage", "tokenizer", "--steps", "2", *more])

    refused = train("--fine-tune", "tokenizer")
    assert isinstance(refused.exception, TrainingError) and "--fine-tune all" in str(refused.exception)
    done = train("--fine-tune", "all", "--reach", "6x2")
    assert done.exit_code == 0, done.output
    settings = read_settings(tmp_path / "run")
    assert settings.fine_tune == ("tokenizer", "latent_actions", "dynamics") and settings.own_frames == 0
    for asked in (["--set", "own_frames=300"], []):  # said once, and then left out
        again = train("--fine-tune", "all", "--reach", "6x2", *asked, out="asked")
        assert again.exit_code == 0, again.output
        assert read_settings(tmp_path / "asked").own_frames == 300
    assert settings.skip == 1 and settings.tokenizer.reach == (2, 6) and settings.latent_actions.reach_columns == 6
    begun, _ = load_tensors(tmp_path / "run" / "tokenizer" / "beginning.safetensors")
    trained, _ = load_tensors(tmp_path / "run" / "tokenizer" / MODEL_FILE)
    assert (trained["encoder.patch.weight"] - begun["encoder.patch.weight"]).abs().max() < 0.01
    assert trained["decoder.summary.1.weight"].shape != begun["decoder.summary.1.weight"].shape  # of another picture's size: anew
    model = pipeline_of(tmp_path / "run", tmp_path / "data")._tokenizer()
    assert model.decoder.is_centred
    _uncentre_where_new(model, trained)
    assert model.decoder.is_centred
    _uncentre_where_new(model, begun)  # so a blend of the two is told anew
    assert not model.decoder.is_centred
    assert begun["decoder.usual"].any() and not torch.equal(begun["decoder.usual"], trained["decoder.usual"])  # and told anew


def test_a_dynamics_trained_further_learns_from_its_own_rollouts(dataset: Dataset, smoke_run: Path, tmp_path: Path) -> None:
    engine, settings = genie.load_world(smoke_run / "world", backend="torch").engine, read_settings(smoke_run)
    assert isinstance(engine, TorchEngine)
    table = genie.load_world(smoke_run / "world").action_table
    plan = RolloutPlan(frames=2 * 64 * 10, length=10, skip=2)
    done: list[int] = []
    for _ in range(2):
        paths = make_rollouts(dataset, engine, table, settings.sampling, plan, tmp_path, lambda made, total: done.append(made))
        files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
        if len(done) == 2:
            first = files
    assert files == first and len(files) == 2  # what is done is not made again
    made = RolloutReader(paths)
    assert made.frames.shape == (128, 10, 80, 72, 3) and made.seen.shape == (128, 10, 8, 8)  # with 8 rows and 4 columns around it
    made.frames = engine.codec.without_margin(made.frames)
    real = ClipSampler(dataset.split("train"), 10, 2, 0).read(made.starts)
    assert np.array_equal(made.frames[:, :4], real.frames[:, :4])
    assert not np.array_equal(made.frames[:, 4:], real.frames[:, 4:])
    by_name = made.actions[:, 0] >= 8
    assert 0.3 < by_name.mean() < 0.7
    assert np.array_equal(made.actions[by_name], real.actions[by_name] + 8)
    assert made.seen[:, :4].all() and 0.3 < made.seen[:, 9].mean() < 1.0


def test_the_camera_keeps_the_figure_in_the_middle(dataset: Dataset, smoke_run: Path) -> None:
    codec = genie.load_world(smoke_run / "world", backend="torch").engine.codec
    there = where_a_figure_is(ClipSampler(dataset.split("train"), 8, 2, 0), codec)
    assert there.shape == (8, 8) and there[3:5, 3:5].all() and there.sum() <= 8


def test_what_follows_a_faded_frame_counts_whole() -> None:
    real = np.random.default_rng(0).integers(0, 255, (2, 4, 16, 16, 3), dtype=np.uint8)
    frames = real.copy()
    frames[0, 1] = 120  # nothing to see
    frames[1, 2] = np.where(np.arange(16)[:, None, None] < 8, 120, real[1, 2])  # upper half: about half of the outlines, and the edge
    frames[1, 3] = 120  # the last: nothing follows it
    assert after_faded(frames, real).tolist() == [[False, False, True, False], [False] * 4]


def test_a_world_of_another_game_with_the_same_keys_is_told_apart(dataset: Dataset) -> None:
    manifest = open_bundle("coinrun-easy").manifest
    table = ActionTable(manifest.actions, manifest.idle)
    assert same_game(manifest, dataset.info, table)
    assert not same_game(manifest, dataset.info.model_copy(update={"recipe": {"game": "procgen jumper (procgen-mirror 0.10.7)"}}), table)
    assert same_game(manifest, dataset.info.model_copy(update={"recipe": {}}), table)  # a video does not say


def test_rollouts_of_another_plan_are_not_mixed_in(dataset: Dataset, smoke_run: Path, tmp_path: Path) -> None:
    world = genie.load_world(smoke_run / "world", backend="torch")
    sampling = read_settings(smoke_run).sampling
    assert isinstance(world.engine, TorchEngine)
    long, short = (
        make_rollouts(dataset, world.engine, world.action_table, sampling, plan, tmp_path)
        for plan in (RolloutPlan(frames=64 * 8, length=8, skip=2), RolloutPlan(frames=64 * 6, length=6, skip=2))
    )
    make_rollouts(dataset, world.engine, world.action_table, sampling, RolloutPlan(64 * 6, 6, 2, models="others"), tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    assert RolloutReader(long).length == 8 and RolloutReader(short).length == 6


def test_what_a_kept_tokenizer_gets_anew_is_no_reach() -> None:
    cars = open_bundle("car-racing")
    wanted = presets()["default"].based_on(cars, ("tokenizer", "dynamics"))
    assert wanted.tokenizer.reach == cars.manifest.tokenizer.reach == (0, 0)
    assert wanted.tokenizer.keeps
    pong = presets()["default"].based_on(open_bundle("pong"), STAGES)
    assert TokenizerConfig.model_validate(pong.tokenizer.model_dump()) == open_bundle("pong").manifest.tokenizer  # sees no frame before


def test_a_folder_with_other_things_is_not_a_run(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "holiday.txt").write_text("photos")
    with pytest.raises(TrainingError, match="not a training run"):
        open_run(tmp_path, dataset)


def test_a_stage_before_its_turn_says_what_is_missing(dataset: Dataset, tmp_path: Path) -> None:
    pipeline = Pipeline(dataset, tmp_path / "run", open_run(tmp_path / "run", dataset, presets()["smoke"]))
    with pytest.raises(TrainingError, match="stage tokenizer is not finished"):
        pipeline.train("dynamics")


def test_tokens_of_other_models_are_not_mixed_in(dataset: Dataset, smoke_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(smoke_run, tmp_path / "run"))
    for stage in ("tokenizer", "dynamics"):
        shutil.rmtree(run / stage)
    settings = open_run(run, dataset, open_run(run, dataset).bounded(None, 3, "tokenizer"))
    with pytest.raises(TrainingError, match=r"learns from the codes of its tokenizer.*remove .*tokens"):
        Pipeline(dataset, run, settings).train()
    shutil.copytree(smoke_run / "tokenizer", run / "tokenizer")
    more = open_run(run, dataset, settings.bounded(None, 50, "tokenizer"))
    with pytest.raises(TrainingError, match=r"learns from the codes of its tokenizer"):
        Pipeline(dataset, run, more).train("tokenizer")
    tensors, note = load_tensors(run / "tokenizer" / MODEL_FILE)
    save_tensors(run / "tokenizer" / MODEL_FILE, {name: value + 1 for name, value in tensors.items()}, note)
    with pytest.raises(TrainingError, match="tokens was made with other settings or models"):
        Pipeline(dataset, run, settings).train("dynamics")


def test_the_per_frame_tokenizer_goes_through_the_same_pipeline(dataset: Dataset, tmp_path: Path) -> None:
    small = TokenizerConfig(mode="per-frame", stride=8, code_stride=8, codes=2, width=16, blocks=1)
    settings = Settings.model_validate({**presets()["smoke"].bounded(None, 2).model_dump(), "tokenizer": small})
    world = genie.load_world(Pipeline(dataset, tmp_path / "run", open_run(tmp_path / "run", dataset, settings)).train())
    rollout = world.start(seed=1)
    assert rollout.step("right").shape == (64, 64, 3)
    assert rollout.tokens.shape == (64, 2)


def test_minutes_are_those_of_the_stage_or_shared_as_before() -> None:
    default = presets()["default"]
    bounded = default.bounded(minutes=19, steps=None)
    whole = sum(stage.minutes for stage in default.stages.values())
    assert abs(sum(stage.minutes for stage in bounded.stages.values()) - 19) < 1e-9
    for name, stage in bounded.stages.items():
        assert abs(stage.minutes - 19 * default.stages[name].minutes / whole) < 1e-9
    one = default.bounded(7, None, "tokenizer")
    assert one.stages["tokenizer"].minutes == 7
    assert one.stages["dynamics"] == default.stages["dynamics"]
    two = default.bounded(17, None, "tokenizer", "dynamics")
    assert (two.stages["tokenizer"].minutes, two.stages["dynamics"].minutes) == (4, 13)
    with pytest.raises(TrainingError, match="not both"):
        default.bounded(minutes=1, steps=1)


def test_the_reach_of_a_run_goes_to_both_models_and_into_its_settings(dataset: Dataset, tmp_path: Path) -> None:
    wanted = presets()["smoke"].bounded(None, 2).reaching((4, 7), (64, 64))
    settings = open_run(tmp_path / "run", dataset, wanted)
    pipeline = Pipeline(dataset, tmp_path / "run", settings)
    assert pipeline.tokenizer_config.reach == (4, 7)
    assert (pipeline.latent_config.reach_rows, pipeline.latent_config.reach_columns) == (4, 7)
    pipeline.learn()
    manifest = open_bundle(pipeline.write_world()).manifest
    assert manifest.tokenizer.reach == (4, 7)
    assert manifest.latent_actions == pipeline.latent_config
    assert read_settings(tmp_path / "run") == settings
    open_run(tmp_path / "run", dataset, wanted)  # the same again goes on
    with pytest.raises(TrainingError, match="other settings"):
        open_run(tmp_path / "run", dataset, wanted.reaching((4, 6), (64, 64)))


def test_a_reach_that_does_not_fit_is_refused_and_none_turns_scrolling_off() -> None:
    with pytest.raises(TrainingError, match=r"--reach 40x4 does not fit frames of 96x64: reach .* must be less than half"):
        presets()["default"].reaching((4, 40), (64, 96))
    with pytest.raises(TrainingError, match="--reach 90x4 does not fit"):
        presets()["default"].reaching((4, 90), (64, 96))
    still = presets()["default"].reaching((0, 0), (64, 96))
    assert not still.tokenizer.scrolls and not still.latent_actions.scrolls


def test_the_learning_rate_warms_up_stays_and_falls() -> None:
    plan = Plan(steps=1000, learning_rate=1.0, warmup_steps=10, decay_part=0.5)
    rates = [plan.rate(step, plan.progress(step, 0)) for step in range(1000)]
    assert rates[0] == 0.1
    assert rates[9:500] == [1.0] * 491
    assert rates[-1] <= 0.01
    assert rates[500:] == sorted(rates[500:], reverse=True)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    save_tensors(tmp_path / "c", {"x": torch.ones(3)}, {"step": 1})
    data = (tmp_path / "c").read_bytes()
    (tmp_path / "c").write_bytes(data[: len(data) // 2])
    with pytest.raises(TrainingError, match="is damaged"):
        load_tensors(tmp_path / "c")


def test_a_model_with_one_more_input_picture_begins_as_the_one_without() -> None:
    before = Dynamics(DynamicsConfig(actions=3, width=32, layers=1, heads=2, frame_width=16), TokenizerConfig(width=16))
    scrolling = TokenizerConfig(width=16, reach_rows=8, reach_columns=4)
    after = Dynamics(DynamicsConfig(actions=3, width=32, layers=1, heads=2, frame_width=16, context=16), scrolling)
    fresh = adopt(after, before.state_dict())
    assert fresh
    assert all(name.startswith("motion.") for name in fresh)
    frames, moved = torch.rand(1, 2, 6, 64, 64), torch.rand(1, 2, 3, 64, 64)
    torch.testing.assert_close(after.embed_frames(frames, moved), before.embed_frames(frames, None))


def test_weights_of_another_shape_stay_new() -> None:
    small, large = torch.nn.Linear(3, 4), torch.nn.Linear(5, 4)
    kept = large.weight.detach().clone()
    assert adopt(large, small.state_dict()) == ["weight"]
    assert torch.equal(large.weight, kept)
    assert torch.equal(large.bias, small.bias)


def test_codes_count_by_how_their_cell_stands_out() -> None:
    config = TokenizerConfig()
    frames = torch.full((1, 1, 3, 64, 64), -0.8)
    frames[..., 8:16, 24:32] = torch.tensor([0.5, 0.0, -0.7])[:, None, None]  # an orange cell: position 1, lower right
    weight = contrast(frames, config)
    assert weight.shape == (1, 1, config.positions, config.codes)
    assert weight.argmax() == 1 * config.codes + 3
    assert abs(weight.mean().item() - 1) < 1e-5
    others = torch.cat([weight.flatten()[:7], weight.flatten()[8:]])
    assert torch.allclose(others, others[0].expand_as(others))
    assert others[0] > 0


def test_codes_count_by_what_is_new_in_their_cell() -> None:
    config = TokenizerConfig()
    moved = torch.rand((1, 1, 3, 64, 64), generator=torch.Generator().manual_seed(0)) * 2 - 1
    frames = moved.clone()
    frames[..., 10:14, 25:29] -= 0.1  # a pale figure in that cell
    weight = news(frames, moved, config)
    assert weight.argmax() == 1 * config.codes + 3 and abs(weight.mean().item() - 1) < 1e-5
    assert weight.max() > 5 * weight.min() > 0
    assert torch.allclose(news(moved, moved, config), torch.ones_like(weight))  # nothing is new: all count alike


def test_what_is_kept_is_to_be_nearer_to_the_truth() -> None:
    frame, previous, painted = torch.zeros(3, 1, 3, 2, 2)
    previous[..., 0, :] = painted[..., 1, :] = 0.01  # the upper half is painted better, the lower half was right already
    right = torch.tensor([-9.0, 9.0]).view(1, 1, 2, 1).expand(1, 1, 2, 2)
    assert keep_loss(right, previous, painted, frame) < 0.001 < 5 < keep_loss(-right, previous, painted, frame)


def test_what_holds_of_a_cell_holds_of_its_codes() -> None:
    config = TokenizerConfig()
    cells = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    cells[0, 0, 1, 3] = True  # the lower right cell of position 1, as above
    found = by_code(cells, config)
    assert found.nonzero().tolist() == [[0, 0, 1, 3]]


def test_the_tokenizer_can_be_trained_with_pieces_planted_in_the_scenery(dataset: Dataset) -> None:
    config = TokenizerConfig(codes=4, width=16, blocks=1, reach_rows=8, reach_columns=4)
    losses = []
    for share in (0.0, 1.0):
        objective = TokenizerObjective(dataset, config, TokenizerData(rows=2, planted_share=share))
        generator = torch.Generator().manual_seed(0)
        losses.append(objective.loss(objective.batch(0), generator)[0])
    assert all(loss.isfinite() for loss in losses)
    assert losses[0] != losses[1]


def test_codes_that_cost_become_small_and_alike(dataset: Dataset) -> None:
    config = TokenizerConfig(codes=4, width=16, blocks=1)
    sizes, used = [], []
    for cost in (0.0, 1.0):
        objective = TokenizerObjective(dataset, config, TokenizerData(rows=2, code_cost=cost))
        optimizer = torch.optim.AdamW(objective.model.parameters(), lr=3e-3)
        for step in range(30):
            loss, _, _ = objective.loss(objective.batch(step), torch.Generator().manual_seed(step))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        frames = to_float(torch.from_numpy(objective.batch(99)[0].frames))
        with torch.no_grad():
            values, codes = objective.model.quantize(frames[:, 0], frames[:, 1])
        sizes.append(values.abs().mean())
        used.append(len(torch.unique(codes)))
    assert sizes[1] < 0.5 * sizes[0] and used[1] < used[0]


def test_a_tokenizer_remembers_what_has_scrolled_out_of_view_also_over_a_pause(dataset: Dataset) -> None:
    config = TokenizerConfig(codes=4, width=16, blocks=1, reach_rows=8, reach_columns=4, mosaic=16)
    generator = torch.Generator().manual_seed(0)
    objective, again = (TokenizerObjective(dataset, config, TokenizerData(rows=4)) for _ in range(2))
    for step in range(3):
        loss, _, _ = objective.loss(objective.batch(step), generator)
    loss.backward()
    view = objective._shown.known[:, 16:-16, 16:-16]
    assert view.all() and objective._shown.known.sum() > 1.05 * view.sum()
    carried = {name: value.clone() for name, value in objective.carried().items()}
    again.restore(carried)
    assert np.array_equal(again._shown.around, objective._shown.around)
    again.model.load_state_dict(objective.model.state_dict())
    batch = objective.batch(3)
    losses = [one.loss(batch, torch.Generator().manual_seed(1))[0].item() for one in (objective, again)]
    assert losses[0] == losses[1]
    carried["mosaic"], carried["known"] = torch.full_like(carried["mosaic"], 255), torch.ones_like(carried["known"])
    again.restore(carried)
    assert again.loss(batch, torch.Generator().manual_seed(1))[0].item() != losses[0]  # it sees what is around the frame
