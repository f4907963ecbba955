"""`genie eval` from end to end on the shipped world and a small recording of the real game; the real game branched."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

import genie
from genie.bundle import Bundle
from genie.cli.app import app
from genie.data.store import UNKNOWN_ACTION, Dataset, DatasetWriter
from genie.evaluation import games
from genie.evaluation.gate import judge
from genie.evaluation.protocols import PROTOCOLS, Sizes, gather
from genie.evaluation.report import Report, Section, Settings
from genie.evaluation.run import _Evaluation, evaluate, key_ids
from genie.evaluation.workspace import Workspace
from genie.world import installed_worlds


def settings(**changes: object) -> Settings:
    values = {
        "world": "w", "weights": "0" * 64, "sampling": {}, "backend": "onnx", "dataset": "d", "fingerprint": "f", "protocol": "default",
        "clips": 4, "seed": 0,
    }  # fmt: skip
    return Settings.model_validate({**values, **changes})


def test_finished_parts_are_not_measured_again(tmp_path: Path) -> None:
    calls = []

    def section() -> Section:
        calls.append("section")
        return Section(name="s", title="S")

    def arrays() -> dict[str, np.ndarray]:
        calls.append("arrays")
        return {"frames": np.arange(24, dtype=np.uint8).reshape(1, 2, 2, 2, 3)}

    for _ in range(2):
        workspace = Workspace(tmp_path, settings())
        assert workspace.section("s", section).title == "S"
        assert workspace.arrays("a", arrays)["frames"].sum() == 276
    assert calls == ["section", "arrays"]
    assert workspace.seconds.keys() == {"s", "a"}  # a report made anew shows what each part took when it was measured
    assert workspace.skipped == ["s", "a"]  # in the second run; in the first they were made


def test_a_folder_with_other_settings_is_refused_with_what_differs(tmp_path: Path) -> None:
    Workspace(tmp_path, settings())
    with pytest.raises(genie.GenieError, match=r"clips was 4, now 8\); choose another --out"):
        Workspace(tmp_path, settings(clips=8))
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(genie.GenieError, match="is damaged"):
        Workspace(tmp_path, settings())


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, settings())
    (tmp_path / "parts" / "s.json").write_text("{}")
    with pytest.raises(genie.GenieError, match=r"s.json is damaged .* remove it and run again"):
        workspace.section("s", lambda: Section(name="s", title="S"))


def test_a_part_with_files_missing_or_garbled_is_named_and_not_read_as_black_frames(tmp_path: Path) -> None:
    def make() -> dict[str, np.ndarray]:
        return {"frames": np.zeros((3, 2, 4, 4, 3), np.uint8), "nothing": np.zeros((0, 4))}

    workspace = Workspace(tmp_path, settings())
    workspace.arrays("a", make)
    assert {name: value.shape for name, value in workspace.arrays("a", make).items()} == {"frames": (3, 2, 4, 4, 3), "nothing": (0, 4)}
    chunk = tmp_path / "parts" / "a.zarr" / "frames" / "c" / "1" / "0" / "0" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-3])
    with pytest.raises(genie.GenieError, match=r"a.zarr is damaged .* remove it and run again"):
        workspace.arrays("a", make)
    chunk.unlink()
    with pytest.raises(genie.GenieError, match=r"a.zarr is damaged \(1 of the 3 files of frames are missing\)"):
        workspace.arrays("a", make)


def test_two_evaluations_do_not_work_in_one_folder(tmp_path: Path) -> None:
    first, second = (Workspace(tmp_path, settings()) for _ in range(2))
    with first.alone(), pytest.raises(genie.GenieError, match="another evaluation works in"), second.alone():
        pass
    with second.alone():
        pass


def of_scenes(dataset: Dataset, path: Path, lengths: tuple[int, ...], last_action: int) -> Dataset:
    """Recorded frames as held-out episodes of these lengths, the last action of each as it is said."""
    frames = {"train": 200, "held_out": sum(lengths)}
    writer = DatasetWriter(path, dataset.info.model_copy(update={"frames": frames}))
    data = dataset.split("train")
    for split, parts in (("train", (200,)), ("held_out", lengths)):
        for number, count in enumerate(parts):
            actions = data.actions[:count].copy()
            actions[-1] = last_action
            writer.add(split, np.asarray(data.frames[:count]), actions, np.zeros(count, np.float32), number)
    writer.close()
    return Dataset(path)


def test_an_episodes_last_action_which_leads_nowhere_need_not_be_known(coinrun: genie.World, dataset: Dataset, tmp_path: Path) -> None:
    open_ended = of_scenes(dataset, tmp_path / "data", (400, 100), UNKNOWN_ACTION)
    workspace = Workspace(tmp_path / "report", settings())
    parts = _Evaluation(coinrun, open_ended, workspace, PROTOCOLS["default"], Sizes.of(2), 0, lambda part, done, total: None)
    assert parts.kinds == ("latent", "keys")
    streams = parts._streams(8, 64)
    assert parts.key_ids is not None and set(np.unique(streams)) <= set(parts.key_ids)  # stretches of the recorded keys


def test_real_frames_are_on_both_sides_whichever_episodes_are_long(coinrun: genie.World, dataset: Dataset, tmp_path: Path) -> None:
    uneven = of_scenes(dataset, tmp_path / "data", (1500, 20, 1500), 0)  # all that is looked at is of the first and the third
    workspace = Workspace(tmp_path / "report", settings())
    parts = _Evaluation(coinrun, uneven, workspace, PROTOCOLS["default"], Sizes.of(2), 0, lambda part, done, total: None)
    assert min(len(parts.real[name]) for name in ("reference", "control", "walked", "stirring")) > 0


def test_the_real_game_branches_exactly_and_answers_its_actions(dataset: Dataset) -> None:
    info = dataset.info
    lead = games.human_keys(info, 6, games.WARM_UP + 3, 2, seed=3)
    left, right = (np.full((6, 8), info.action_names.index(name)) for name in ("left", "right"))
    found = games.branch(info, 4, 2, 3, lead, [left, right, left], prompt_frames=4)
    assert found.prompts.shape[1:] == (4, 64, 64, 3)
    assert np.array_equal(found.frames[0], found.frames[2])  # the same actions again: the same game to the bit
    assert (found.frames[0] != found.frames[1]).any(axis=(1, 2, 3, 4)).all()
    assert np.array_equal(found.actions[0], left[: len(found.prompts)])
    assert games.branchable(info)
    assert not games.branchable(info.model_copy(update={"resolution": (64, 96)}))  # the branches would be of another size


def test_keys_are_held_as_people_hold_them_or_drawn_anew_each_frame(dataset: Dataset) -> None:
    human, chance = games.human_keys(dataset.info, 50, 60, 2, 0), games.random_keys(dataset.info, 50, 60, 0)
    stays = [(keys[:, 1:] == keys[:, :-1]).mean() for keys in (human, chance)]
    assert stays[0] > 0.7
    assert abs(stays[1] - 1 / 6) < 0.03


@pytest.mark.parametrize("name", ["genieredux", "play"])
def test_protocols_play_the_real_game_from_its_own_moments(dataset: Dataset, name: str) -> None:
    protocol = PROTOCOLS[name]
    material = gather(protocol, dataset, 3, 2, seed=1)
    assert material.frames.shape[1] == protocol.prompt_frames + max(protocol.horizons)
    assert material.actions.shape[1] == material.frames.shape[1] - 1
    assert material.other is not None and material.other.shape[1] == 4
    assert material.labelled
    again = gather(protocol, dataset, 3, 2, seed=1)
    assert np.array_equal(material.frames, again.frames)


def test_everything_follows_the_number_of_clips() -> None:
    assert Sizes.of(64).long_frames == 1000 and Sizes.of(4).long_frames == 64
    assert Sizes.of(8).judge_steps < Sizes.of(64).judge_steps < Sizes.of(128).judge_steps


def test_recorded_keys_find_the_worlds_actions(coinrun: genie.World, dataset: Dataset) -> None:
    ids = key_ids(coinrun, dataset)
    assert ids is not None
    assert [coinrun.actions[i].name for i in ids] == list(dataset.info.action_names)


def test_the_genieredux_protocol_measures_ten_frames_from_one(coinrun: genie.World, dataset: Dataset, tmp_path: Path) -> None:
    report, _ = evaluate(coinrun, dataset, tmp_path, PROTOCOLS["genieredux"], clips=2)
    delta, horizon = report.metric("delta_4_keys"), report.metric("psnr_10_keys")
    assert horizon is not None and horizon.world.value is not None and 10 < horizon.world.value < 50
    assert delta is not None and delta.real is not None and delta.real.value is not None and delta.real.value > 10
    assert [section.name for section in report.sections] == ["tokenizer", "horizons", "controllability"]


def test_a_video_of_one_long_scene_is_judged_as_far_as_it_goes(coinrun: genie.World, dataset: Dataset, tmp_path: Path) -> None:
    frames = {"train": 200, "held_out": 160}
    info = dataset.info.model_copy(update={"name": "video", "action_names": (), "action_keys": (), "frames": frames, "recipe": {}})
    writer = DatasetWriter(tmp_path / "video", info)
    for split, count in frames.items():
        shown = np.asarray(dataset.split("train").frames[:count])
        writer.add(split, shown, np.full(count, UNKNOWN_ACTION, np.uint8), np.zeros(count, np.float32), 0)
    writer.close()
    report, _ = evaluate(coinrun, Dataset(tmp_path / "video"), tmp_path / "report", PROTOCOLS["default"], clips=2)
    assert [section.name for section in report.sections] == ["tokenizer", "horizons", "controllability", "drift", "permanence"]
    assert "not known here" in report.sections[-1].notes[0]
    delta, drift = report.metric("delta_4_latent"), report.metric("frechet_lite0_64")
    assert delta is not None and delta.world.value is not None and delta.world.low is None  # one scene says nothing about others
    assert drift is not None and drift.world.value is not None and drift.real is not None and drift.real.value is not None
    assert not judge(report, 0.8).passed


def test_data_of_another_game_is_refused(coinrun: genie.World, dataset: Dataset, tmp_path: Path) -> None:
    other = Dataset(dataset.path)
    other.info = dataset.info.model_copy(update={"action_names": ("up", "down")})
    with pytest.raises(genie.GenieError, match="judge it on data of its own game"):
        evaluate(coinrun, other, tmp_path, PROTOCOLS["default"], clips=2)


def test_eval_writes_a_report_goes_on_where_it_stopped_and_marks_the_world(dataset_path: Path, tmp_path: Path) -> None:
    world = Path(shutil.copytree(installed_worlds()["coinrun"], tmp_path / "coinrun"))
    out = tmp_path / "report"

    def run(*more: str) -> Result:
        return CliRunner().invoke(app, ["eval", str(world), "--data", str(dataset_path), "--out", str(out), *more], env={"COLUMNS": "200"})

    done = run("--clips", "2")
    assert done.exit_code == 0, done.output
    report = Report.model_validate_json((out / "report.json").read_text())
    names = {metric.name for section in report.sections for metric in section.metrics}
    assert names >= {
        "tokenizer_psnr", "tokenizer_ssim", "tokenizer_perplexity", "psnr_1_latent", "psnr_10_keys", "psnr_moving_4_keys", "ssim_4_latent",
        "delta_4_latent", "delta_4_keys", "action_f1_share", "f1_jump", "latent_information", "latent_rarest_share",
        "contrast_cosine_left_or_right", "frechet_lite0_32", "kernel_lite0_64", "colour_entropy_16", "token_entropy_64", "half_life",
        "revisit_gain_8", "agent_there", "agent_alone", "crate_kept_10",
    }  # fmt: skip
    page = (out / "report.html").read_text()
    assert page.count("data:image/png;base64,") > 10 and "data:image/gif;base64," in page
    assert not re.search(r'(src|href)="(?!data:)', page)  # nothing outside the file is needed
    json.loads((out / "report.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))

    gated = run("--clips", "2", "--gate")
    assert gated.exit_code == 1, gated.output  # 64 frames say nothing about the 256 that it must last
    assert "kept from an earlier run: tokenizer, horizons, controllability" in " ".join(gated.output.split())
    assert "not shippable" in gated.output
    marks = Bundle(world).marks
    assert marks is not None and not marks.shippable
    assert any("staying power" in reason for reason in marks.reasons)

    other = run("--clips", "3")
    assert isinstance(other.exception, genie.GenieError)
    assert "clips was 2, now 3" in str(other.exception)
