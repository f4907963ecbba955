"""Choosing a back end: asked for, remembered, measured; and playing without torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import genie
from genie import backends


@pytest.fixture
def forgetful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENIE_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(backends, "_measured", {})
    return backends.memory_path()


def test_auto_measures_once_and_remembers(forgetful: Path) -> None:
    chosen = genie.load_world("coinrun", device="cpu").backend
    (rates,) = json.loads(forgetful.read_text()).values()
    assert rates.keys() == {"onnx", "onnx-int8"}
    assert chosen == max(rates, key=lambda name: rates[name])
    slower = min(rates, key=lambda name: rates[name])
    manifest = genie.load_world("coinrun", device="cpu", backend=slower).manifest
    backends.remember(manifest, {slower: 1000.0, chosen: 1.0})
    assert genie.load_world("coinrun", device="cpu").backend == slower


@pytest.mark.parametrize("damage", ["{", "[1]", '{"x": 3}', "\x00"])
def test_a_damaged_memory_is_forgotten(forgetful: Path, damage: str) -> None:
    forgetful.write_text(damage)
    assert genie.load_world("coinrun", device="cpu").backend in ("onnx", "onnx-int8")


def test_a_memory_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GENIE_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert genie.load_world("coinrun", device="cpu").backend.startswith("onnx")


def test_a_remembered_back_end_that_the_world_no_longer_offers_is_passed_over(forgetful: Path) -> None:
    manifest = genie.load_world("coinrun", device="cpu", backend="onnx").manifest
    backends.remember(manifest, {"onnx-int8": 100.0, "onnx": 50.0, "abacus": 999.0})
    assert backends.remembered(manifest) == ["onnx-int8", "onnx"]
    assert manifest.graphs is not None
    poorer = manifest.model_copy(update={"graphs": manifest.graphs.model_copy(update={"precisions": ("fp32",)})})
    assert backends.remembered(poorer) == ["onnx"]


def test_available_names_what_can_be_opened() -> None:
    manifest = genie.load_world("coinrun", device="cpu", backend="onnx").manifest
    found = backends.available(manifest)
    assert {"onnx", "onnx-int8", "torch"} <= set(found)
    for name in found:
        if "compiled" not in name:  # a minute each; `genie bench` runs them
            assert genie.load_world("coinrun", device="cpu", backend=name).backend == name


def test_playing_recording_and_listing_never_import_torch(tmp_path: Path) -> None:
    """In a process where torch cannot be imported at all, as after `pip install .`."""
    script = (
        "import sys; extra = ['torch', 'einops', 'vector_quantize_pytorch', 'onnx', 'onnxscript', 'matplotlib', 'tensorboard'];"
        "sys.modules.update(dict.fromkeys(extra));"
        "from genie.cli.app import app;"
        "app(standalone_mode=False);"
        "assert sys.modules['torch'] is None and 'genie.dynamics' not in sys.modules"
    )
    for arguments in (
        ("play", "coinrun", "--device", "cpu", "--headless", "--frames", "6", "--actions", "right:6", "--out", str(tmp_path / "take.gif")),
        ("worlds",),
        ("record", "coinrun", "--frames", "1000", "--held-out", "1000", "--out", str(tmp_path / "data")),
        ("dataset", "info", str(tmp_path / "data")),
    ):
        done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "take.gif").exists()


def test_a_window_on_onnx_runtime_never_imports_torch(tmp_path: Path) -> None:
    script = (
        "import sys; import genie; from player.launch import open_app; from player.screens.play import Play;"
        "app = open_app(genie.load_world('coinrun', device='cpu'), scale=2);"
        "app.run(max_seconds=3.0); assert isinstance(app.screen, Play);"
        "assert 'torch' not in sys.modules; print('played')"
    )
    folders = {"GENIE_CONFIG_DIR": str(tmp_path / "config"), "GENIE_DATA_DIR": str(tmp_path / "data")}
    environment = os.environ | folders
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert "played" in done.stdout, done.stderr


@pytest.mark.parametrize("arguments", [("train", "data", "--out", "run"), ("eval", "coinrun", "--data", "data"), ("export", "coinrun")])
def test_without_torch_the_rest_says_what_to_install(arguments: tuple[str, ...]) -> None:
    script = (
        "import sys, importlib.util as u; found = u.find_spec;"
        "u.find_spec = lambda name, *rest: None if name == 'torch' else found(name, *rest);"
        "from genie.cli.app import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "pip install 'genie-worlds[torch]'" in done.stderr


def test_the_back_end_torch_without_torch_says_what_to_install() -> None:
    script = (
        "import importlib.util as u; found = u.find_spec;"
        "u.find_spec = lambda name, *rest: None if name == 'torch' else found(name, *rest);"
        "import genie; genie.load_world('coinrun', backend='torch')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert "needs torch: pip install" in done.stderr
