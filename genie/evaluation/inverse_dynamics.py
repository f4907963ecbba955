"""The judge of obedience: a small network that tells from four frames in a row which action was held between the middle two.

It is trained on real clips of the training levels alone, then asked about real held-out clips (how good a judge it is) and about the
world's frames (whether the world did what it was told).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from genie.data.clips import Clips, ClipSampler, longest_clip
from genie.data.store import UNKNOWN_ACTION, SplitData
from genie.evaluation.judges import fit

BEFORE, AFTER = 1, 2  # frames beside the two between which the action was held
SPAN = BEFORE + 2 + AFTER - 1  # frames it sees
ROWS = 8  # clips in a batch: few and long, since each has to be read from disk
CLIP = 15  # frames of a training clip: CLIP - SPAN + 1 windows
PATCH = 4  # pixels folded into channels: what moves less than a pixel a step is still told apart, at a sixteenth of the cost
CACHE_BYTES = 2**28  # of training frames: clips hardly ever come twice
LEARNING_RATE, WEIGHT_DECAY, RISING = 5e-4, 0.02, 0.1  # at 2e-3 it never starts to learn where little moves (Pong)
NOISE = 0.03  # of the range: so that it judges by what moves, not by noise that only real frames have


class InverseDynamics(nn.Module):
    """uint8 [B, SPAN, H, W, 3] -> logits [B, A]."""

    def __init__(self, actions: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.PixelUnshuffle(PATCH)]
        inside = (2 * SPAN - 1) * PATCH**2
        for width, stride in ((64, 1), (64, 1), (96, 2), (96, 2)):
            layers += [nn.Conv2d(inside, width, 3, stride, 1), nn.GroupNorm(4, width), nn.SiLU()]
            inside = width
        self.see = nn.Sequential(*layers)
        self.answer = nn.Sequential(nn.Dropout(0.2), nn.LazyLinear(128), nn.SiLU(), nn.Linear(128, actions))

    def forward(self, frames: Tensor, noise: Tensor | None = None) -> Tensor:
        seen = frames.float().mean(-1) / 127.5 - 1  # grey: walls, agent and background differ in it
        if noise is not None:
            seen = seen + NOISE * noise
        seen = torch.cat([seen, 4 * (seen[:, 1:] - seen[:, :-1])], dim=1)
        return self.answer(self.see(seen).flatten(1))


def windows(frames: np.ndarray) -> np.ndarray:
    """uint8 [B, T, H, W, 3] -> a view [B, T - SPAN + 1, SPAN, H, W, 3]; window w is about the action between frames w+1 and w+2."""
    return np.moveaxis(np.lib.stride_tricks.sliding_window_view(frames, SPAN, axis=1), -1, 2)


def train_judge(
    data: SplitData, actions: int, skip: int, steps: int, seed: int, progress: Callable[[int], None] = lambda done: None
) -> dict[str, np.ndarray]:
    """The weights of a judge trained on random clips of a split."""
    torch.manual_seed(seed)
    resolution = data.frames.shape[1:3]
    model = _built(actions, resolution)
    sampler = ClipSampler(data, max(SPAN, min(CLIP, longest_clip(data, skip))), skip, seed + 31, max_bytes=CACHE_BYTES)

    def loss_of(clips: Clips) -> Tensor | None:
        frames = torch.from_numpy(windows(clips.frames).reshape(-1, SPAN, *clips.frames.shape[2:]).copy())
        labels = torch.from_numpy(clips.actions[:, BEFORE : clips.actions.shape[1] - AFTER + 1].reshape(-1))
        known = labels != UNKNOWN_ACTION
        if not known.any():
            return None
        logits = model(frames[known], torch.randn(frames[known].shape[:-1]))
        return nn.functional.cross_entropy(logits.float(), labels[known], label_smoothing=0.05)

    return fit(model, lambda step: sampler.batch(step, ROWS), loss_of, steps, LEARNING_RATE, WEIGHT_DECAY, RISING, progress)


@torch.inference_mode()
def judged(weights: dict[str, np.ndarray], frames: np.ndarray, actions: int, block: int = 64) -> np.ndarray:
    """The judge's answers: uint8 [B, T, H, W, 3] -> int [B, T - SPAN + 1], action BEFORE + w of the clip for window w."""
    model = _built(actions, frames.shape[2:4])
    model.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
    model.eval()
    seen = windows(frames)
    flat = [(b, w) for b in range(seen.shape[0]) for w in range(seen.shape[1])]
    answers = [
        model(torch.from_numpy(np.stack([seen[b, w] for b, w in flat[i : i + block]]))).argmax(-1).numpy()
        for i in range(0, len(flat), block)
    ]
    return np.concatenate([np.zeros(0, np.int64), *answers]).reshape(seen.shape[:2])


def confusions(truth: np.ndarray, answers: np.ndarray, actions: int) -> np.ndarray:
    """int [B, W] twice -> float [B, A, A]: how often each clip had truth a and answer b; unknown actions left out."""
    tables = np.zeros((len(truth), actions, actions))
    known = truth != UNKNOWN_ACTION
    rows = np.broadcast_to(np.arange(len(truth))[:, None], truth.shape)
    np.add.at(tables, (rows[known], truth[known], answers[known]), 1)
    return tables


def f1(table: np.ndarray, action: int) -> float:
    """F1 of one action: 2 · right / (said + true); NaN where it neither was nor was said."""
    both = table[action].sum() + table[:, action].sum()
    return float(2 * table[action, action] / both) if both else float("nan")


def macro_f1(table: np.ndarray) -> float:
    """Mean F1 over the actions that occur in the truth."""
    found = [f1(table, action) for action in range(len(table)) if table[action].sum()]
    return float(np.mean(found)) if found else float("nan")


def _built(actions: int, resolution: tuple[int, ...]) -> InverseDynamics:
    model = InverseDynamics(actions)
    with torch.no_grad():
        model.eval()(torch.zeros(1, SPAN, *resolution, 3))
    return model.train()
