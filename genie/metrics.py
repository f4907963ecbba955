"""The figures that training and evaluation share. Frames are uint8 `[..., H, W, 3]` unless said otherwise."""

from __future__ import annotations

import numpy as np

BYTE_ERROR = 1 / 12  # squared levels: what rounding to bytes costs anyway, so that equal frames count 58.9 dB, not infinity
CHANGED_LEVELS = 5  # a pixel has changed where any channel differs by more than this, of 255


def squared_error(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean squared error of each frame, in squared levels of 255: [...]."""
    difference = a.astype(np.float32) - b.astype(np.float32)
    return (difference * difference).mean(axis=(-3, -2, -1))


def psnr(error: np.ndarray | float) -> float:
    """Peak signal-to-noise ratio in dB of the mean of squared errors (mean first, then logarithm): the strict way."""
    return float(10 * np.log10(255.0**2 / max(float(np.mean(error)), BYTE_ERROR)))


def mean_psnr(error: np.ndarray) -> float:
    """Mean over frames of each frame's PSNR in dB (logarithm first, then mean): the usual way to report video prediction."""
    return float(np.mean(10 * np.log10(255.0**2 / np.maximum(error, BYTE_ERROR))))


def changed_error(made: np.ndarray, truth: np.ndarray, before: np.ndarray) -> float:
    """Mean squared error over the pixels that changed between `before` and `truth`."""
    changed = (np.abs(truth.astype(np.int16) - before.astype(np.int16)) > CHANGED_LEVELS).any(axis=-1)
    if not changed.any():
        return 0.0
    difference = made[changed].astype(np.float32) - truth[changed].astype(np.float32)
    return float((difference * difference).mean())


def perplexity(counts: np.ndarray) -> float:
    """exp(entropy) of a histogram: how many values are in use, evenly counted."""
    share = counts[counts > 0] / max(1, counts.sum())
    return float(np.exp(-(share * np.log(share)).sum()))


def mutual_information(a: np.ndarray, b: np.ndarray) -> float:
    """Bits that int [N] says about int [N]."""
    joint = np.zeros((int(a.max()) + 1, int(b.max()) + 1))
    np.add.at(joint, (a, b), 1)
    joint /= joint.sum()
    independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log2(joint[seen] / independent[seen])).sum())


def majority_accuracy(codes: np.ndarray, labels: np.ndarray) -> float:
    """Share of labels right when each code stands for its most frequent label."""
    right = sum(np.bincount(labels[codes == code]).max() for code in np.unique(codes))
    return float(right / len(labels))
