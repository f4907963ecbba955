"""The figures that training and evaluation share. Frames are uint8 `[..., H, W, 3]` unless said otherwise."""

from __future__ import annotations

import numpy as np

BYTE_ERROR = 1 / 12  # squared levels: what rounding to bytes costs anyway, so that equal frames count 58.9 dB, not infinity
ALIKE_LEVELS = 16  # a pixel is as it was painted where no channel differs by more than this, of 255
CHANGED_LEVELS = 5  # a pixel has changed where any channel differs by more than this, of 255
OUTLINE_LEVELS = 24  # of brightness, that two neighbouring pixels of an outline differ by
SSIM_WINDOW, SSIM_DEVIATION = 11, 1.5  # pixels of the Gaussian window, as in Wang et al. 2004
SSIM_C1, SSIM_C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
SSIM_BLOCK = 256  # frames at once: bounds the memory


def short(value: float) -> str:
    """A figure as people read it, of three digits or more: 0.638, 27.1, 1,000."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


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
    changed = changed_pixels(truth, before)
    if not changed.any():
        return 0.0
    difference = made[changed].astype(np.float32) - truth[changed].astype(np.float32)
    return float((difference * difference).mean())


def changed_pixels(truth: np.ndarray, before: np.ndarray) -> np.ndarray:
    """bool [..., H, W]: where the truth differs from the frame before."""
    return np.asarray((np.abs(truth.astype(np.int16) - before.astype(np.int16)) > CHANGED_LEVELS).any(axis=-1))


def outlines(frames: np.ndarray) -> np.ndarray:
    """How much there is to see: the share of neighbouring pixels `OUTLINE_LEVELS` apart or more, uint8 [..., H, W, 3] -> [...]."""
    grey = frames.mean(-1, dtype=np.float32)
    across, down = (np.abs(np.diff(grey, axis=axis)) >= OUTLINE_LEVELS for axis in (-1, -2))
    return np.asarray((across.mean((-1, -2)) + down.mean((-1, -2))) / 2)


def still_painted(shown: np.ndarray, painted: np.ndarray, before: np.ndarray) -> np.ndarray:
    """bool [...]: pixels uint8 [..., 3] that look like what was painted, not like what stood there before.

    Their largest difference from the paint, over the channels, is at most half that of what stood there, or `ALIKE_LEVELS`.
    """
    paint = painted.astype(np.int16)
    off, stood = (np.abs(other.astype(np.int16) - paint).max(axis=-1) for other in (shown, before))
    return np.asarray(off <= np.maximum(ALIKE_LEVELS, stood // 2))


def frame_psnr(error: np.ndarray) -> np.ndarray:
    """Squared errors -> dB, each for itself; NaN stays NaN."""
    return 10 * np.log10(255.0**2 / np.maximum(error, BYTE_ERROR))


def error_where(made: np.ndarray, truth: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Mean squared error of each frame over its pixels in bool [..., H, W]: [...]; NaN where a frame has none."""
    difference = made.astype(np.float32) - truth.astype(np.float32)
    return _mean_where((difference * difference).mean(axis=-1), where)


def ssim(a: np.ndarray, b: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
    """Structural similarity of each frame (Wang et al. 2004), mean over the windows that lie inside the picture and the channels.

    Args:
        where: bool [..., H, W]: only windows around these pixels count; a frame without any is NaN.

    Returns:
        float [...] in -1 … 1.
    """
    shape, size = a.shape[:-3], a.shape[-3:]
    kept = None if where is None else where.reshape(-1, *size[:2])
    parts = []
    a, b = a.reshape(-1, *size), b.reshape(-1, *size)
    for i in range(0, len(a), SSIM_BLOCK):
        part = slice(i, i + SSIM_BLOCK)
        here = _ssim_map(a[part], b[part])
        border = SSIM_WINDOW // 2
        inside = (slice(None), slice(border, size[0] - border), slice(border, size[1] - border))
        parts.append(here.mean(axis=(-2, -1)) if kept is None else _mean_where(here, kept[part][inside]))
    return np.concatenate(parts).reshape(shape)


def _ssim_map(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """uint8 [B, H, W, 3] twice -> float [B, H-10, W-10], mean over the channels."""
    planes = [np.moveaxis(frames, -1, 1).astype(np.float32) for frames in (a, b)]
    rows, columns = (_blur(size) for size in a.shape[1:3])

    def blurred(plane: np.ndarray) -> np.ndarray:
        return rows @ plane @ columns.T

    mean_a, mean_b = blurred(planes[0]), blurred(planes[1])
    variance_a = blurred(planes[0] ** 2) - mean_a**2
    variance_b = blurred(planes[1] ** 2) - mean_b**2
    covariance = blurred(planes[0] * planes[1]) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + SSIM_C1) / (mean_a**2 + mean_b**2 + SSIM_C1)
    return (luminance * (2 * covariance + SSIM_C2) / (variance_a + variance_b + SSIM_C2)).mean(axis=1)


def _blur(size: int) -> np.ndarray:
    """The Gaussian window at every place where it fits, as a matrix [size - 10, size]."""
    offsets = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
    window = np.exp(-(offsets**2) / (2 * SSIM_DEVIATION**2))
    matrix = np.zeros((size - SSIM_WINDOW + 1, size), np.float32)
    for row in range(len(matrix)):
        matrix[row, row : row + SSIM_WINDOW] = window / window.sum()
    return matrix


def _mean_where(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Mean over the last two axes where `where` holds; NaN where it never does."""
    count = where.sum(axis=(-2, -1))
    total = np.where(where, values, 0.0).sum(axis=(-2, -1), dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def entropy_bits(counts: np.ndarray) -> np.ndarray:
    """Entropy in bits of histograms int [..., K]: [...]."""
    share = counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    return -(share * np.log2(np.where(share > 0, share, 1.0))).sum(axis=-1)


def perplexity(counts: np.ndarray) -> float:
    """exp(entropy) of a histogram: how many values are in use, evenly counted."""
    share = counts[counts > 0] / max(1, counts.sum())
    return float(np.exp(-(share * np.log(share)).sum()))


def mutual_information(a: np.ndarray, b: np.ndarray) -> float:
    """Bits that int [N] says about int [N]."""
    joint = np.zeros((int(a.max()) + 1, int(b.max()) + 1))
    np.add.at(joint, (a, b), 1)
    return information(joint)


def information(joint: np.ndarray) -> float:
    """Mutual information in bits of a table of counts [A, B]."""
    joint = joint / joint.sum()
    independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log2(joint[seen] / independent[seen])).sum())


def majority_accuracy(codes: np.ndarray, labels: np.ndarray) -> float:
    """Share of labels right when each code stands for its most frequent label."""
    right = sum(np.bincount(labels[codes == code]).max() for code in np.unique(codes))
    return float(right / len(labels))
