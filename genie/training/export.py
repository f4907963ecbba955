"""From a finished run to a world bundle, with its card."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from genie.bundle import plain_name, save_bundle
from genie.data.card import DatasetCard, licence_of_weights, markdown
from genie.data.store import DatasetInfo
from genie.runtime.actions import Action
from genie.runtime.sampling import Sampling
from genie.weights import half_weights


def export_world(
    path: Path,
    info: DatasetInfo,
    sampling: Sampling,
    skip: int,
    actions: tuple[Action, ...],
    idle: int,
    models: Mapping[str, nn.Module],
    prompts: np.ndarray,
    notes: Mapping[str, dict[str, Any]],
    data_card: DatasetCard,
) -> Path:
    """Write the bundle folder.

    Args:
        prompts: uint8 [P, T, H, W, 3] from held-out levels.
        notes: what each stage noted: steps, seconds, the machine and the metrics of its last validation; and the same of the goes "before",
            where a world's model was trained further.
        data_card: goes into the bundle, and into its README.
    """
    licences = dict.fromkeys([*_licences(notes.values()), info.licence])
    began = "".join(f"; begun with weights trained on: {licence}" for licence in licences if licence != info.licence)
    training = {
        "dataset": {"name": info.name, "frames": info.frames, "recipe": info.recipe, "licence": info.licence},
        "stages": {name: _numbers(note) for name, note in notes.items()},
    }
    fields = {
        "name": plain_name(info.name),
        "title": f"{info.name}, learned from {info.frames['train']:,} frames of gameplay",
        "licence": f"weights: {licence_of_weights(licences)}; trained on: {info.licence}{began}",
        "frame_rate": info.game_rate / skip,
        "frame_skip": skip,
        "actions": actions,
        "idle": idle,
        "sampling": sampling,
        "tokenizer": models["tokenizer"].config,
        "latent_actions": models["latent_actions"].config,
        "dynamics": models["dynamics"].config,
        "training": training,
    }
    named = {f"level-{number:02d}": clip for number, clip in enumerate(prompts)}
    weights = {name: half_weights(model) for name, model in models.items()}
    text = card(fields, training) + "\n" + markdown(data_card).replace("\n#", "\n##").replace("# Data", "## Data", 1)
    save_bundle(path, fields, weights, named, text, data_card)
    return path


def card(fields: Mapping[str, Any], training: Mapping[str, Any]) -> str:
    """The bundle's README.md: data, licence, cost, metrics, limits."""
    dataset = training["dataset"]
    lines = [
        f"# {fields['name']}",
        "",
        f"{fields['title']}. {fields['frame_rate']:g} frames a second, {fields['frame_skip']} game steps a frame.",
        "",
        "## Data and licence",
        "",
        f"- {dataset['frames']['train']:,} training frames, {dataset['frames']['held_out']:,} held-out frames; "
        f"{dataset['recipe'].get('game', dataset['name'])}.",
        f"- Recipe: `{dataset['recipe']}`",
        f"- {fields['licence']}.",
        "",
        "## Cost and metrics on held-out levels",
        "",
        "| stage | minutes | steps | on | metrics of the last validation |",
        "|---|---|---|---|---|",
    ]
    for name, note in training["stages"].items():
        for number, go in enumerate([*note.get("before", []), note], 1):
            title = f"{name}, go {number}" if note.get("before") else name
            title += f", on {go['data']}" if "data" in go else ""
            title += f", {go['blend']:.0%} of it blended in" if "blend" in go else ""
            metrics = ", ".join(f"{key} {value:.3g}" for key, value in go.get("metrics", {}).items())
            lines.append(f"| {title} | {go['seconds'] / 60:.1f} | {go['steps']:,} | {go.get('machine', '')} | {metrics} |")
    names = ", ".join(f"`{action.name}`" for action in fields["actions"])
    return "\n".join([*lines, "", "## Actions", "", names, "", "## Limits", "", *_limits(fields), ""])


def _licences(notes: Iterable[dict[str, Any]]) -> list[str]:
    """Of other data that stages, or what they began with, were trained on."""
    return [go["licence"] for note in notes for go in (*note.get("before", []), note) if "licence" in go]


def _limits(fields: Mapping[str, Any]) -> list[str]:
    seconds, mosaic = fields["dynamics"].context / fields["frame_rate"], fields["tokenizer"].mosaic
    forgets = f"- The world remembers {seconds:.1f} seconds: what has left the view longer ago is made anew when it comes back."
    if mosaic:
        forgets = (
            f"- What has scrolled out of view is remembered {mosaic} pixels around the picture, as it was last seen; what lies farther "
            f"away is made anew when it comes back. Of how things move it remembers {seconds:.1f} seconds."
        )
    return [
        forgets,
        "- It has seen what the policy above does, and little else: rare objects and rare places are its weakest.",
        "- Fine detail of the background is smoothed; nothing in it was learned beyond what the pictures show (no score, no sound).",
    ]


def _numbers(note: dict[str, Any]) -> dict[str, Any]:
    metrics = {key: round(float(value), 4) for key, value in note["metrics"].items()}
    found = {"seconds": round(note["seconds"], 1), "steps": note["step"], "metrics": metrics}
    found |= {key: note[key] for key in ("machine", "blend", "data", "licence") if key in note}
    if note.get("before"):
        found["before"] = [_numbers(go) if "step" in go else go for go in note["before"]]
    return found
