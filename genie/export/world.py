"""Put ONNX graphs into a world's bundle, and find out which precisions are good enough to be offered."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from genie.backends import open_engine
from genie.bundle import Bundle, Graphs, Precision, put_files
from genie.configs import GRAPHS
from genie.data.clips import Clips
from genie.errors import GenieError
from genie.export.graphs import write_graphs
from genie.files import replacing
from genie.horizons import PROMPT_FRAMES, roll
from genie.metrics import mean_psnr, squared_error
from genie.runtime.actions import ActionTable
from genie.runtime.engine import Engine
from genie.runtime.onnx_engine import graph_file
from genie.weights import load_models

TOLERATED_LOSS = 0.2  # dB of next-frame PSNR
REDUCED: dict[Precision, str] = {"int8": "onnx-int8", "bf16": "torch-bf16"}  # those that have to prove themselves, and where they run


def export_graphs(path: Path, clips: Clips | None = None, progress: Callable[[str], None] = lambda part: None) -> Graphs:
    """Write a world's ONNX graphs into its bundle folder; the folder is replaced when all is done and checked.

    Args:
        clips: held-out clips, uint8 [B, T > PROMPT_FRAMES, H, W, 3], that judge the reduced precisions; without them only fp32 is offered.

    Raises:
        GenieError: the bundle is a zip file.
    """
    if not path.is_dir():
        raise GenieError(f"{path} is not a folder; unpack the world first.")
    models = load_models(Bundle(path))
    with replacing(path) as fresh:
        shutil.copytree(path, fresh, dirs_exist_ok=True)
        files = write_graphs(fresh, *models, progress=progress)
        tried = REDUCED if clips is not None else {}
        graphs = Graphs(precisions=("fp32", *tried), made_for=Bundle(fresh).manifest.weights_digest)
        put_files(fresh, files, ".onnx", graphs=graphs.model_dump())
        if clips is not None:
            progress("measuring precisions")
            graphs = _judged(Bundle(fresh), clips)
        for name in [name for name in GRAPHS if name.partition("-")[2] in set(REDUCED) - set(graphs.precisions)]:
            del files[graph_file(name)]
            (fresh / graph_file(name)).unlink()
        put_files(fresh, files, ".onnx", graphs=graphs.model_dump())
    return graphs


def next_frame_psnr(engine: Engine, bundle: Bundle, clips: Clips) -> float:
    """Mean PSNR in dB one frame on from real prompts, under the latent actions that the truth shows, or the recorded ones."""
    table = ActionTable(bundle.manifest.actions, bundle.manifest.idle)
    actions = engine.codec.infer_actions(clips.frames[:, : PROMPT_FRAMES + 1]) if table.latent else clips.actions[:, :PROMPT_FRAMES]
    actions = actions[:, PROMPT_FRAMES - 1 :]
    made = [  # one by one, as a world is played
        roll(engine, table, bundle.manifest.sampling, clips.frames[i : i + 1, :PROMPT_FRAMES], actions[i : i + 1], seed=i)
        for i in range(len(clips.frames))
    ]
    return mean_psnr(squared_error(np.concatenate(made)[:, 0], clips.frames[:, PROMPT_FRAMES]))


def _judged(bundle: Bundle, clips: Clips) -> Graphs:
    full = next_frame_psnr(open_engine(bundle, "cpu", "onnx"), bundle, clips)
    loss = {name: round(full - next_frame_psnr(open_engine(bundle, "cpu", backend), bundle, clips), 4) for name, backend in REDUCED.items()}
    kept = [name for name in REDUCED if np.isfinite(loss[name]) and loss[name] <= TOLERATED_LOSS]
    return Graphs(precisions=("fp32", *kept), made_for=bundle.manifest.weights_digest, psnr_loss=loss)
