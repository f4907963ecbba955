"""`genie bench` on a tiny setting: its structure, never a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import genie
from genie.bench.reference import ReferenceSampler
from genie.world import open_bundle


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "genie.cli.app", "bench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, check=False, env={**os.environ, "COLUMNS": "200"})


def test_bench_measures_back_ends_and_the_reference(tmp_path: Path) -> None:
    done = bench(
        "coinrun", "--frames", "20", "--batches", "1,2", "--backends", "onnx-int8,reference", "--device", "cpu", "--out", str(tmp_path)
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "bench.json").read_text())
    fast, reference = report["backends"]
    assert (fast["backend"], reference["backend"]) == ("onnx-int8", "reference")
    assert fast["step_milliseconds"].keys() == {"p50", "p99", "embed", "sampling", "decode", "rest"}
    assert [row["batch"] for row in fast["batches"]] == [1, 2]
    for row in fast["batches"]:
        assert np.isclose(row["real_time_factor"], row["frames_per_second"] / report["world"]["frame_rate"])
    assert fast["first_frame_seconds"].keys() == {"cold", "warm"}
    assert fast["key_to_frame_milliseconds"] > 0
    assert fast["peak_memory_mib"] > 0
    assert len(fast["flatness"]["curve"]["frame"]) == 20
    assert reference["speedup"] == 1.0
    assert (tmp_path / "bench.png").stat().st_size > 10_000
    assert "onnx-int8" in done.stdout


def test_a_back_end_that_cannot_run_is_a_row_that_says_why(tmp_path: Path, bundle: Path) -> None:
    (bundle / "step.onnx").unlink()
    done = bench(str(bundle), "--frames", "10", "--batches", "", "--backends", "onnx")
    assert done.returncode == 2
    assert "has no step.onnx" in done.stdout
    assert "no back end could be measured" in done.stderr


def test_wrong_numbers_and_names_are_refused() -> None:
    for arguments, says in (
        (("--batches", "1,x"), "must be numbers"),
        (("--batches", "0"), "between 1 and 4096"),
        (("--backends", "gpu"), "no back end 'gpu'"),
    ):
        done = bench("coinrun", *arguments)
        assert done.returncode == 2
        assert says in done.stderr


def test_the_reference_draws_what_the_engine_draws() -> None:
    """Same weights, same noise, no cache: the first frame is the same once the engine's ring holds the same window."""
    world = genie.load_world("coinrun", device="cpu", backend="torch")
    frame = world.prompts[0].frames[-1]
    sampler = ReferenceSampler(open_bundle("coinrun"), frame, seed=4)
    rollout = world.start(np.stack([frame]), seed=4)
    state, engine = rollout._batch.state, world.engine
    nothing = engine.codec.pack(np.zeros((1, *engine.codec.code_shape), np.int64), np.zeros((1, 2), np.int64))
    for _ in range(world.manifest.dynamics.context - 1):
        engine.commit(state, np.zeros(1, np.int64), nothing, state.frame)
    assert np.abs(sampler.step(10).astype(int) - rollout.step(10).astype(int)).max() <= 1
