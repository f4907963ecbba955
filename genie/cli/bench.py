"""`genie bench`: how fast a world runs here, on every back end, beside a sampler without a cache.

Each back end is measured in a process of its own: memory and first frames are then its own, and two thread pools that spin in one
process would slow each other down.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console

from genie.errors import GenieError

if TYPE_CHECKING:
    from genie.world import World

REFERENCE = "reference"
REFERENCE_FRAMES = 40
PARITY_FRAMES = 200


def bench(
    world: Annotated[str, typer.Argument(help="An installed world, or the path of a bundle.")] = "coinrun",
    frames: Annotated[int, typer.Option(min=10, max=1_000_000, help="Frames of the single rollout; 10000 shows that nothing grows.")] = 300,
    batches: Annotated[str, typer.Option(help="Batch sizes, comma-separated; empty for none.")] = "1,4,16,64,256",
    backends: Annotated[str | None, typer.Option(help="Comma-separated; default: all that run here, and `reference`.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    parity: Annotated[bool, typer.Option("--parity", help="Also compare the codes that torch and ONNX Runtime draw.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for bench.json and bench.png.")] = None,
) -> None:
    """Measure frames a second, latency, memory and batch throughput of a world."""
    from genie.backends import BACKENDS, available, remember, resolve_device
    from genie.bench.report import plot_report, print_report
    from genie.data.store import write_json
    from genie.machine import cores, processor
    from genie.world import open_bundle

    console = Console()
    bundle = open_bundle(world)
    sizes = _sizes(batches)
    device = resolve_device(device)
    reference = [REFERENCE] if find_spec("torch") is not None else []
    chosen = [*available(bundle.manifest, device), *reference] if backends is None else [name.strip() for name in backends.split(",")]
    for name in chosen:
        if name not in (*BACKENDS, REFERENCE):
            raise GenieError(f"there is no back end {name!r}; choose from {', '.join((*BACKENDS, REFERENCE))}.")
    rows: list[dict[str, Any]] = []
    with console.status("measuring") as status:
        for name in chosen:
            status.update(f"measuring {name}")
            rows.append(_in_own_process(name, bundle.path, device, frames, sizes))
        compared = _compare(bundle.path, frames, status.update) if parity else None
    references = [row["frames_per_second"] for row in rows if row["backend"] == REFERENCE and "error" not in row]
    for row in rows:
        if references and "error" not in row:
            row["speedup"] = row["frames_per_second"] / references[0]
    report = {
        "world": {
            "name": bundle.manifest.name,
            "resolution": list(bundle.manifest.tokenizer.resolution),
            "frame_rate": bundle.manifest.frame_rate,
        },
        "passes": bundle.manifest.sampling.passes,
        "machine": {"processor": processor(), "cores": cores()},
        "date": time.strftime("%Y-%m-%d"),
        "backends": rows,
        "parity": compared,
    }
    print_report(report, console)
    measured = {row["backend"]: row["frames_per_second"] for row in rows if "error" not in row}
    if device == "cpu" and {"onnx", "onnx-int8"} <= measured.keys():
        remember(bundle.manifest, measured)
        console.print(f"remembered: here `auto` takes {max(('onnx', 'onnx-int8'), key=lambda name: measured[name])}")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "bench.json", report)
        try:
            plot_report(report, out / "bench.png")
        except ModuleNotFoundError:
            console.print(f"{out}/bench.json (no picture: pip install matplotlib)", markup=False)
        else:
            console.print(f"{out}: bench.json, bench.png", markup=False)
    if all("error" in row for row in rows):
        raise GenieError("no back end could be measured; the reasons stand in the table.")


def _compare(world: Path, frames: int, progress: Callable[[str], None]) -> dict[str, Any]:
    """Codes of torch and of ONNX Runtime, both in fp32 on the CPU."""
    from genie.bench.parity import parity
    from genie.cli.extras import need_torch
    from genie.world import load_world

    need_torch("genie bench --parity")
    onnx = load_world(str(world), device="cpu", backend="onnx")
    return parity(load_world(str(world), device="cpu", backend="torch"), onnx.engine, min(frames, PARITY_FRAMES), progress=progress)


def worker(name: str, world: str, device: str, frames: int, batches: str, started: float) -> None:
    """Measure one back end in this process and print it as JSON."""
    from genie.bench.measure import measure_reference, measure_world
    from genie.world import load_world, open_bundle

    bundle = open_bundle(world)
    if name == REFERENCE:
        found = measure_reference(bundle, bundle.prompt(bundle.manifest.prompts[0])[-1], min(frames, REFERENCE_FRAMES), device)
    else:

        def opened() -> World:
            return load_world(world, device=device, backend=name)

        found = measure_world(opened, key_to_frame, started, frames, _sizes(batches))
    print(json.dumps(found))


def key_to_frame(world: World, presses: int = 20) -> float | None:
    """Milliseconds from a key event to the frame that it made, in the player's own loop at the world's pace (median)."""
    from genie.sessions.session import Session
    from player.jobs import Job
    from player.model_thread import ModelThread

    model = ModelThread()
    model.start()
    began = model.submit(Job(lambda: model.play(Session.start(world))))
    while not began.done:
        time.sleep(0.01)
    model.pause(False)
    rng = np.random.default_rng(0)
    key = next((control for action in world.actions for control in action.keys), "1")
    for _ in range(presses):
        time.sleep(rng.uniform(1.0, 2.0) / world.frame_rate)
        model.latch.press("bench", key)
        time.sleep(1.0 / world.frame_rate)
        model.latch.release("bench")
    waits = list(model.figures.key_to_frame)
    model.close()
    if began.error is not None or model.error is not None:
        raise began.error or model.error  # type: ignore[misc]
    return float(np.median(waits)) * 1000 if waits else None


def _in_own_process(name: str, path: Path, device: str, frames: int, sizes: list[int]) -> dict[str, Any]:
    job = [name, str(path), device, frames, ",".join(map(str, sizes)), time.time()]
    code = "import json, sys; from genie.cli.bench import worker; worker(*json.loads(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, json.dumps(job)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"]
        return {"backend": name, "error": lines[-1]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def _sizes(batches: str) -> list[int]:
    try:
        sizes = [int(size) for size in batches.split(",") if size.strip()]
    except ValueError as error:
        raise GenieError(f"--batches {batches!r} must be numbers with commas between them, e.g. 1,4,16.") from error
    if any(not 1 <= size <= 4096 for size in sizes):
        raise GenieError("a batch size must be between 1 and 4096.")
    return sizes
