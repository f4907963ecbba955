"""`genie export`: checked graphs that share the bundle's weights, and precisions that have to prove themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import genie
from genie.bundle import Bundle
from genie.data.clips import Clips, ClipSampler
from genie.data.store import Dataset
from genie.export import world as export
from genie.horizons import PROMPT_FRAMES


@pytest.fixture
def clips(dataset: Dataset) -> Clips:
    return ClipSampler(dataset.split("held_out"), PROMPT_FRAMES + 1, 2, 0).spread(8)


def test_the_shipped_graphs_are_valid_small_and_without_traces_of_their_maker(coinrun: genie.World) -> None:
    graphs = sorted(coinrun.path.glob("*.onnx"), key=lambda path: path.stem)
    assert [path.stem for path in graphs] == ["act", "describe", "embed", "paint", "step", "step-int8", "store"]
    for path in graphs:
        onnx.checker.check_model(str(path), full_check=True)
        model = onnx.load(path, load_external_data=False)
        assert next(entry.version for entry in model.opset_import if entry.domain == "") >= 18
        assert path.stat().st_size < 2**20
        assert path.stem == "store" or any(tensor.external_data for tensor in model.graph.initializer)
        raw = path.read_bytes()
        assert b"/home/" not in raw
        assert b".py" not in raw


def test_a_trained_world_carries_graphs_that_play(smoke_run: Path) -> None:
    world = genie.load_world(smoke_run / "world", device="cpu", backend="onnx")
    frames = [
        world.start(seed=1).step("right"),
        genie.load_world(smoke_run / "world", device="cpu", backend="torch").start(seed=1).step("right"),
    ]
    assert np.abs(frames[0].astype(int) - frames[1]).mean() < 1.0


def test_without_clips_only_fp32_is_offered(bundle: Path) -> None:
    graphs = export.export_graphs(bundle)
    assert graphs.precisions == ("fp32",)
    assert not (bundle / "step-int8.onnx").exists()
    for precision, backend in (("int8", "onnx-int8"), ("bf16", "torch-bf16")):
        with pytest.raises(genie.GenieError, match=f"offers fp32, not {precision}"):
            genie.load_world(bundle, device="cpu", backend=backend)
    assert genie.load_world(bundle, device="cpu").backend == "onnx"


def test_a_precision_that_loses_too_much_is_not_offered(bundle: Path, clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "TOLERATED_LOSS", -100.0)
    before = Bundle(bundle).manifest
    graphs = export.export_graphs(bundle, clips)
    assert graphs.precisions == ("fp32",)
    assert graphs.psnr_loss.keys() == {"int8", "bf16"}
    assert not (bundle / "step-int8.onnx").exists()
    after = Bundle(bundle).manifest
    assert after.model_copy(update={"graphs": None, "files": {}}) == before.model_copy(update={"graphs": None, "files": {}})


def test_an_export_that_fails_leaves_the_world_as_it_was(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in bundle.iterdir() if path.is_file()}

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(export, "put_files", fail)
    with pytest.raises(RuntimeError, match="disk is full"):
        export.export_graphs(bundle)
    assert {path.name: path.read_bytes() for path in bundle.iterdir() if path.is_file()} == before
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]
