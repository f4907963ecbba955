"""The pictures of a report: contact sheets (PNG), moving ones (GIF), plots. Each is written beside the report and embedded in it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from genie.evaluation.report import Curve, Picture
from genie.evaluation.staying_power import reported
from genie.pictures import grid

ROWS = 8  # clips in a sheet
SHEET_FRAMES = (1, 2, 4, 6, 8, 10, 16, 24, 32, 48, 64)


def against_truth(
    folder: Path, truth: np.ndarray, prompt_frames: int, rollouts: dict[str, np.ndarray], frame_rate: float
) -> tuple[Picture, Picture]:
    """A sheet (truth over the rollouts) and a moving picture (truth, then each rollout, side by side)."""
    main = "keys" if "keys" in rollouts else "latent"
    chosen = np.linspace(0, len(truth) - 1, min(ROWS, len(truth))).astype(int)
    steps = _sheet(folder / "against_truth.png", truth, prompt_frames, rollouts[main], chosen)
    sheet = Picture(
        file="against_truth.png",
        title="Truth over rollout",
        caption=f"The last prompt frame, then frames {', '.join(map(str, steps))} of the real game and, below, of the world under "
        f"{'the recorded keys' if main == 'keys' else 'latent actions'}.",
    )
    columns = [truth[:, prompt_frames:], *rollouts.values()]
    movie = np.concatenate([np.concatenate([part[clip] for part in columns], axis=2) for clip in chosen[:4]], axis=1)
    _gif(folder / "against_truth.gif", movie, frame_rate)
    labels = ", ".join(["the real game", *rollouts])
    return sheet, Picture(file="against_truth.gif", title="In motion", caption=f"Columns: {labels}. Four clips, one below the other.")


def things(folder: Path, truth: np.ndarray, prompt_frames: int, made: np.ndarray) -> Picture:
    """Clips that show things, truth over rollout."""
    chosen = np.linspace(0, len(truth) - 1, min(ROWS, len(truth))).astype(int)
    steps = _sheet(folder / "things.png", truth, prompt_frames, made, chosen)
    caption = f"The last prompt frame, then frames {', '.join(map(str, steps))} of the real game and, below, of the world."
    return Picture(file="things.png", title="Do things stay", caption=caption)


def _sheet(path: Path, truth: np.ndarray, prompt_frames: int, made: np.ndarray, chosen: np.ndarray) -> list[int]:
    """Write truth over rollout of the chosen clips, the prompt's last frame before both; which frames it shows."""
    steps = [step for step in SHEET_FRAMES if step <= truth.shape[1] - prompt_frames]
    at = np.array(steps) - 1
    rows = []
    for clip in chosen:
        last = truth[clip, prompt_frames - 1 : prompt_frames]
        rows.append(np.concatenate([last, truth[clip, at + prompt_frames]]))
        rows.append(np.concatenate([last, made[clip, at]]))
    Image.fromarray(grid(rows)).save(path)
    return steps


def round_trip(folder: Path, truth: np.ndarray, made: np.ndarray) -> Picture:
    """Real frames over the tokenizer's."""
    at = np.linspace(1, truth.shape[1] - 1, min(11, truth.shape[1] - 1)).astype(int)
    chosen = np.linspace(0, len(truth) - 1, min(4, len(truth))).astype(int)
    Image.fromarray(grid([clips[clip, at] for clip in chosen for clips in (truth, made)])).save(folder / "round_trip.png")
    return Picture(
        file="round_trip.png", title="Round trip", caption="Real frames; below them the tokenizer's, unrolled on its own output."
    )


def counterfactuals(
    folder: Path, prompts: np.ndarray, pairs: dict[str, tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]]
) -> Picture:
    """For each pair: truth and model under the one action, truth and model under the other."""
    rows = []
    for number, (truth, made) in enumerate(pairs.values()):
        clip = min(number, len(prompts) - 1)
        for branch in (0, 1):
            rows += [np.concatenate([prompts[clip, -1:], frames[branch][clip, ::2]]) for frames in (truth, made)]
    Image.fromarray(grid(rows)).save(folder / "counterfactuals.png")
    caption = f"{'; '.join(pairs)}: four rows each: the real game and the world under the first action, then under the second."
    return Picture(file="counterfactuals.png", title="One moment, two futures", caption=caption)


def long_rollouts(folder: Path, frames: np.ndarray) -> Picture:
    """One row a rollout, at the reported horizons."""
    horizons = reported(frames.shape[1])
    chosen = np.linspace(0, len(frames) - 1, min(ROWS, len(frames))).astype(int)
    at = [0, *(h - 1 for h in horizons)]
    Image.fromarray(grid([frames[clip, at] for clip in chosen])).save(folder / "long_rollouts.png")
    caption = f"The first frame made, then frames {', '.join(map(str, horizons))}; one row a rollout."
    return Picture(file="long_rollouts.png", title="Long rollouts", caption=caption)


def walks(folder: Path, prompts: np.ndarray, frames: dict[str, np.ndarray]) -> Picture:
    """A few walks left and right again: the real game over the world."""
    chosen = np.linspace(0, len(prompts) - 1, min(4, len(prompts))).astype(int)
    rows = [np.concatenate([prompts[clip, -1:], frames[label][clip, 1::2]]) for clip in chosen for label in ("real", "world")]
    Image.fromarray(grid(rows)).save(folder / "walks.png")
    caption = "The start, then every second frame of eight to the left and twelve to the right; the real game over the world."
    return Picture(file="walks.png", title="Away and back", caption=caption)


def codes_and_actions(folder: Path, table: np.ndarray, names: Sequence[str]) -> Picture:
    """What was held where a latent code was seen: counts [latent, names]."""
    from matplotlib.figure import Figure

    share = table / np.maximum(table.sum(1, keepdims=True), 1)
    figure = Figure(figsize=(5, 0.36 * len(share) + 1.2), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.set_yticks(range(len(share)), [f"code {code}" for code in range(len(share))])
    for (row, column), value in np.ndenumerate(share):
        axes.text(column, row, f"{value:.0%}", ha="center", va="center", fontsize=7, color="white" if value > 0.5 else "black")
    figure.savefig(folder / "codes_and_actions.png", dpi=110)
    caption = "Each row: which recorded actions were held where the latent code was inferred."
    return Picture(file="codes_and_actions.png", title="Latent codes and recorded actions", caption=caption)


def plot(curve: Curve) -> bytes:
    """A curve with its intervals, PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 3.4), layout="constrained")
    axes = figure.add_subplot()
    for label, estimates in curve.lines.items():
        value, low, high = (np.array([getattr(e, key) for e in estimates], float) for key in ("value", "low", "high"))  # None: NaN
        (line,) = axes.plot(curve.x, value, marker="o", markersize=3, linewidth=1.5, label=label)
        axes.fill_between(curve.x, low, high, alpha=0.15, color=line.get_color(), linewidth=0)
    if curve.log_x and len(curve.x) > 1:
        axes.set_xscale("log", base=2)
        axes.set_xticks(curve.x, [str(x) for x in curve.x])
        axes.minorticks_off()
    axes.set_xlabel(curve.x_title)
    axes.set_ylabel(curve.unit)
    axes.grid(alpha=0.25)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110)
    return data.getvalue()


def _gif(path: Path, frames: np.ndarray, frame_rate: float) -> None:
    images = [Image.fromarray(frame).quantize(64, dither=Image.Dither.NONE) for frame in frames]
    images[0].save(path, save_all=True, append_images=images[1:], duration=round(1000 / frame_rate), loop=0)
