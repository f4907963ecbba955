"""A bundle is untrusted input: whatever is wrong with it becomes a WorldFormatError that says what to do."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import genie
from genie.bundle import MANIFEST, Bundle


def change(bundle: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    value = json.loads((bundle / MANIFEST).read_text())
    edit(value)
    (bundle / MANIFEST).write_text(json.dumps(value))


def seal(bundle: Path, name: str) -> None:
    """Make the manifest agree with a file that was changed."""
    data = (bundle / name).read_bytes()
    change(bundle, lambda m: m["files"].update({name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}}))


def refuse(bundle: Path, match: str, backends: tuple[str, ...] = ("torch", "onnx")) -> None:
    for backend in backends:
        with pytest.raises(genie.WorldFormatError, match=match):
            _ = genie.load_world(bundle, device="cpu", backend=backend).prompts


STALE = r"graphs were made for other weights or another configuration; run `genie export"


def test_an_untouched_bundle_opens_as_folder_and_as_zip(bundle: Path, tmp_path: Path) -> None:
    world = genie.load_world(bundle)
    packed = genie.load_world(shutil.make_archive(str(tmp_path / "packed"), "zip", bundle))
    assert np.array_equal(world.start(seed=1).step("right"), packed.start(seed=1).step("right"))


def test_a_truncated_file(bundle: Path) -> None:
    data = (bundle / "dynamics.safetensors").read_bytes()
    (bundle / "dynamics.safetensors").write_bytes(data[:-100])
    refuse(bundle, "dynamics.safetensors has .* truncated; get the world again")


def test_a_file_that_grew(bundle: Path) -> None:
    with (bundle / "dynamics.safetensors").open("ab") as file:
        file.write(b"more")
    refuse(bundle, "dynamics.safetensors has")


def test_a_wrong_sha256(bundle: Path) -> None:
    data = bytearray((bundle / "tokenizer.safetensors").read_bytes())
    data[-1] ^= 1
    (bundle / "tokenizer.safetensors").write_bytes(data)
    refuse(bundle, "tokenizer.safetensors: its sha256")


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_an_unknown_schema_version(bundle: Path, version: Any) -> None:
    change(bundle, lambda m: m.update(schema_version=version))
    refuse(bundle, "schema_version is .* update genie or export")


@pytest.mark.parametrize("path", ["../outside.png", "/etc/passwd", "a/../../b.png", "C:\\x.png", "./x.png"])
def test_a_path_outside_the_bundle(bundle: Path, path: str) -> None:
    def move(manifest: dict[str, Any]) -> None:
        manifest["prompts"][0]["file"] = path
        manifest["files"][path] = {"sha256": "0" * 64, "size": 1}

    change(bundle, move)
    refuse(bundle, "leaves the bundle")


def test_a_link_that_leads_outside(bundle: Path, tmp_path: Path) -> None:
    outside = tmp_path / "secret.safetensors"
    shutil.move(bundle / "tokenizer.safetensors", outside)
    (bundle / "tokenizer.safetensors").symlink_to(outside)
    refuse(bundle, "leads outside the bundle")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(bundle: Path, bad: float) -> None:
    tensors = load_file(bundle / "dynamics.safetensors")
    tensors["position"][0, 0] = bad
    save_file(tensors, bundle / "dynamics.safetensors")
    seal(bundle, "dynamics.safetensors")
    refuse(bundle, "position has NaN or infinite weights", ("torch",))
    refuse(bundle, STALE, ("onnx",))


def test_wrong_shapes(bundle: Path) -> None:
    tensors = load_file(bundle / "dynamics.safetensors")
    tensors["position"] = torch.zeros(3, 5)
    save_file(tensors, bundle / "dynamics.safetensors")
    seal(bundle, "dynamics.safetensors")
    refuse(bundle, r"position has shape \[3, 5\], its configuration needs \[16, 64\]", ("torch",))
    refuse(bundle, STALE, ("onnx",))


def test_missing_and_unknown_tensors(bundle: Path) -> None:
    tensors = load_file(bundle / "latent_actions.safetensors")
    tensors["stranger"] = tensors.popitem()[1]
    save_file(tensors, bundle / "latent_actions.safetensors")
    seal(bundle, "latent_actions.safetensors")
    refuse(bundle, "tensors missing or unknown: .*stranger", ("torch",))
    refuse(bundle, STALE, ("onnx",))


def test_weights_that_are_no_safetensors(bundle: Path) -> None:
    (bundle / "tokenizer.safetensors").write_bytes(b"\x80\x04 a pickle, say" * 50_000)
    seal(bundle, "tokenizer.safetensors")
    refuse(bundle, "not a safetensors file", ("torch",))
    refuse(bundle, STALE, ("onnx",))


def test_a_missing_file(bundle: Path) -> None:
    (bundle / "latent_actions.safetensors").unlink()
    refuse(bundle, "has no latent_actions.safetensors")


def test_a_prompt_of_the_wrong_size(bundle: Path) -> None:
    name = json.loads((bundle / MANIFEST).read_text())["prompts"][0]["file"]
    Image.new("RGB", (64, 64)).save(bundle / name)
    seal(bundle, name)
    refuse(bundle, "frames need 256×64")


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("frame_rate", -3, "frame_rate: Input should be greater than 0"),
        ("idle", 99, "idle is 99"),
        ("actions", [], "actions"),
        ("name", "../up", "name"),
        ("surprise", 1, "surprise"),
        ("dynamics", {"actions": 14, "width": 10**9}, "dynamics.width"),
    ],
)
def test_a_manifest_with_a_wrong_value(bundle: Path, field: str, value: Any, says: str) -> None:
    change(bundle, lambda m: m.update({field: value}))
    refuse(bundle, says)


def test_a_configuration_larger_than_its_weights_is_refused_before_it_is_built(bundle: Path) -> None:
    change(bundle, lambda m: m["dynamics"].update(width=2048, layers=48, heads=64))
    refuse(bundle, "smaller than its configuration needs", ("torch",))
    refuse(bundle, STALE, ("onnx",))


def test_a_manifest_that_is_no_json(bundle: Path) -> None:
    (bundle / MANIFEST).write_bytes(b"\xff{")
    refuse(bundle, "is not JSON")


def test_a_zip_with_a_damaged_entry(bundle: Path, tmp_path: Path) -> None:
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", bundle))
    with zipfile.ZipFile(packed) as archive:
        info = archive.getinfo("tokenizer.safetensors")
    data = bytearray(packed.read_bytes())
    data[info.header_offset + 200 : info.header_offset + 260] = b"\xff" * 60
    packed.write_bytes(data)
    refuse(packed, "tokenizer.safetensors")


@pytest.mark.parametrize("text", ["[" * 100_000, "1" * 5000, '{"schema_version": 1, "name": ' + "9" * 5000 + "}"])
def test_a_manifest_that_json_chokes_on(bundle: Path, text: str) -> None:
    (bundle / MANIFEST).write_text(text)
    refuse(bundle, "is not JSON")


@pytest.mark.parametrize(
    ("part", "wrong"),
    [("dynamics", {"heads": 3}), ("tokenizer", {"width": 12}), ("tokenizer", {"levels": [40, 40, 40]}), ("latent_actions", {"width": 512})],
)
def test_a_configuration_that_cannot_be_built_or_has_not_the_weights(bundle: Path, part: str, wrong: dict[str, Any]) -> None:
    change(bundle, lambda m: m[part].update(wrong))
    refuse(bundle, "dynamics|tokenizer|latent_actions", ("torch",))
    refuse(bundle, f"{STALE}|dynamics|tokenizer|latent_actions", ("onnx",))


def test_a_graph_that_is_none(bundle: Path) -> None:
    (bundle / "step.onnx").write_bytes(b"\x08\x0a no graph")
    seal(bundle, "step.onnx")
    refuse(bundle, "step.onnx cannot be opened", ("onnx",))


def test_nan_weights_are_refused_also_when_the_graphs_agree(bundle: Path) -> None:
    tensors = load_file(bundle / "latent_actions.safetensors")
    next(iter(tensors.values())).fill_(float("nan"))
    save_file(tensors, bundle / "latent_actions.safetensors")
    seal(bundle, "latent_actions.safetensors")
    change(bundle, lambda m: m["graphs"].update(made_for=Bundle(bundle).manifest.weights_digest))
    refuse(bundle, "has NaN or infinite weights")


def test_a_world_without_graphs_runs_on_torch_and_says_how_to_make_them(bundle: Path) -> None:
    change(bundle, lambda m: m.update(graphs=None))
    assert genie.load_world(bundle, device="cpu").backend == "torch"
    with pytest.raises(genie.GenieError, match="make them with `genie export"):
        genie.load_world(bundle, backend="onnx")


def test_a_zip_that_is_none_and_one_with_a_swollen_entry(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 nothing")
    refuse(tmp_path / "broken.zip", "neither a folder nor a zip")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MANIFEST, b" " * (64 * 2**20))
    refuse(tmp_path / "bomb.zip", "larger than")


@pytest.fixture
def manifest_only(coinrun: genie.World, tmp_path: Path) -> Path:
    """The shipped world's manifest, which is all that `Bundle` opens, free to be damaged."""
    (tmp_path / "world").mkdir()
    shutil.copy(coinrun.path / MANIFEST, tmp_path / "world")
    return tmp_path / "world"


@pytest.mark.parametrize(
    ("count", "frames", "says"),
    [(15_000, 1, "prompts: Tuple should have at most 256 items"), (200, 256, "prompts have 209,715,200 pixels in all")],
)
def test_prompts_that_would_fill_the_memory(manifest_only: Path, count: int, frames: int, says: str) -> None:
    prompt = Bundle(manifest_only).manifest.prompts[0].model_dump()
    change(manifest_only, lambda m: m.update(prompts=[{**prompt, "name": str(n), "count": frames} for n in range(count)]))
    with pytest.raises(genie.WorldFormatError, match=says):
        Bundle(manifest_only)


@pytest.mark.parametrize("damage", ["a version to come", "a name that is no text"])
def test_a_zip_whose_directory_is_damaged(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "world.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("\u00e9.json", b"{}")
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")  # of the central directory
    if damage == "a version to come":
        data[entry + 6] = 99
    else:
        data[entry + 46] = 0xFF
    path.write_bytes(data)
    with pytest.raises(genie.WorldFormatError, match="neither a folder nor a zip file"):
        Bundle(path)
