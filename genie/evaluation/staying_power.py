"""Staying power: how real a rollout still looks after hundreds of frames, when it collapses, and whether a way back leads back.

Distances are taken on EfficientNet-Lite0 features (genie/evaluation/features.py). docs/evaluation.md has the formulas.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from genie.evaluation.intervals import around, draws, groups, interval, mean_of
from genie.evaluation.report import Curve, Estimate, Metric, Section
from genie.metrics import changed_pixels, entropy_bits, frame_psnr, outlines, squared_error

HORIZONS = (16, 32, 64, 128, 256, 512, 1000)
WINDOW = 4  # frames of each rollout that stand for a horizon …
WINDOW_STEP = 4  # … every so many frames, the last at the horizon
JUDGED_EVERY = 16  # frames between two looks for a collapse
COLLAPSE_LOOKS = 4  # looks in a row that must be outside what real frames reach
OUTSIDE = 0.99  # quantile of the distances to the reference, of real frames or of the tokenizer's, that a look must exceed
LEAST_OUTLINES = 0.5  # of what real frames show at least: a tokenizer that loses more sets no lower mark
COLOUR_LEVELS = 16  # a channel, for colour entropy
STIRS = 0.001  # of the pixels that a step must change …
STIR_FRAMES = 16  # … of so many before a horizon
RETURN_SLACK = 4  # frames more on the way back than on the way out
RETURNS = (4, 8, 16)  # frames held
LEFT_PSNR = 20.0  # dB: a walk is judged where the real game's picture at the turn is less like the start than this


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Fréchet distance between Gaussians fitted to float [N, D] and [M, D]: |μ_a-μ_b|² + tr(S_a + S_b - 2 (S_a S_b)^½).

    The last trace is the sum of the singular values of the centred A Bᵀ over √((N-1)(M-1)): exact, also for fewer samples than
    dimensions; of A and B only the triangular factors are needed.
    """
    return _between(_gaussian(a), _gaussian(b))


def _gaussian(found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean [D] and triangular factor of the covariance [≤ D, D] of float [N, D]."""
    found = found.astype(np.float64)
    mean = found.mean(0)
    return mean, np.asarray(np.linalg.qr((found - mean) / np.sqrt(len(found) - 1), mode="r"))


def _between(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> float:
    (mean_a, factor_a), (mean_b, factor_b) = a, b
    shared = np.linalg.svd(factor_a @ factor_b.T, compute_uv=False).sum()
    return float(((mean_a - mean_b) ** 2).sum() + (factor_a**2).sum() + (factor_b**2).sum() - 2 * shared)


def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The polynomial kernel (x·y / D + 1)³ of KID (Bińkowski et al. 2018): [N, D], [M, D] -> [N, M]."""
    return (a.astype(np.float64) @ b.astype(np.float64).T / a.shape[1] + 1) ** 3


def kernel_distance(
    within_a: np.ndarray, within_b: np.ndarray, across: np.ndarray, rollouts: np.ndarray | None = None, weight: np.ndarray | None = None
) -> float:
    """Squared maximum mean discrepancy of kernels [N, N], [M, M], [N, M]; unbiased, as only rows of different rollouts are compared.

    Args:
        rollouts: int [N], which rows of `within_a` are of one rollout or stretch; each of its own where it is not given.
        weight: [N], how often each of them is taken.

    Returns:
        NaN where all are of one rollout.
    """
    rollouts = np.arange(len(within_a)) if rollouts is None else rollouts
    weight = np.ones(len(within_a)) if weight is None else weight.astype(float)
    pairs = np.outer(weight, weight) * (rollouts[:, None] != rollouts)
    if not pairs.any():
        return float("nan")
    m = len(within_b)
    same_a, same_b = (within_a * pairs).sum() / pairs.sum(), (within_b.sum() - np.trace(within_b)) / (m * (m - 1))
    return float(same_a + same_b - 2 * (weight @ across).sum() / (weight.sum() * m))


@dataclass(frozen=True)
class Redrawn:
    """A distance, and what it is for the episodes of each draw."""

    value: float
    replicates: np.ndarray
    episodes: int

    def over(self, other: Redrawn) -> Redrawn:
        """How many times as far as another one, of the same draws."""
        return Redrawn(self.value / other.value, self.replicates / other.replicates, self.episodes)

    @property
    def estimate(self) -> Estimate:
        """With its interval."""
        return around(self.value, self.replicates, self.episodes)


def distances(
    found: np.ndarray, reference: np.ndarray, rollouts: np.ndarray, episodes: np.ndarray, seed: int = 0, times: int = 100
) -> tuple[Redrawn, Redrawn]:
    """Fréchet and kernel distance of features [N, D] to the reference [M, D], also for draws of the episodes.

    Args:
        rollouts: int [N], the rollout or stretch that each is of.
        episodes: int [N], the episode that this began in.
    """
    number, count = groups(episodes)
    kernels = kernel(found, found), kernel(reference, reference), kernel(found, reference)
    like = _gaussian(reference)
    fre, ker = [], []
    for taken in draws(count, seed, times):
        rows = np.concatenate([np.repeat(np.flatnonzero(number == g), times_g) for g, times_g in enumerate(taken) if times_g])
        fre.append(_between(_gaussian(found[rows]), like))
        ker.append(kernel_distance(*kernels, rollouts, taken[number]))
    return (
        Redrawn(frechet(found, reference), np.array(fre), count),
        Redrawn(kernel_distance(*kernels, rollouts), np.array(ker), count),
    )


def colour_entropy(frames: np.ndarray) -> np.ndarray:
    """Bits of the histogram of a frame's colours at 16 levels a channel: uint8 [..., H, W, 3] -> [...]."""
    flat = frames.reshape(-1, frames.shape[-3] * frames.shape[-2], 3) // (256 // COLOUR_LEVELS)
    codes = (flat[..., 0].astype(np.int64) * COLOUR_LEVELS + flat[..., 1]) * COLOUR_LEVELS + flat[..., 2]
    found = [entropy_bits(np.bincount(row, minlength=COLOUR_LEVELS**3)) for row in codes]
    return np.array(found).reshape(frames.shape[:-3])


def token_entropy(codes: np.ndarray, vocabulary: int) -> np.ndarray:
    """Bits of the histogram of each rollout's codes: int [B, T, N, G] -> [B], mean over G."""
    return np.array(
        [np.mean([entropy_bits(np.bincount(row[..., g].ravel(), minlength=vocabulary)) for g in range(row.shape[-1])]) for row in codes]
    )


def stirring(frames: np.ndarray) -> np.ndarray:
    """Share of the steps that change the picture at all, `STIRS` of its pixels or more: uint8 [B, T, H, W, 3] -> [B]."""
    return np.asarray((changed_pixels(frames[:, 1:], frames[:, :-1]).mean((-1, -2)) >= STIRS).mean(1))


def nearest(found: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Distance of features [N, D] to the nearest of the reference [M, D]: [N]."""
    a, b = found.astype(np.float64), reference.astype(np.float64)
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    return np.sqrt(np.maximum(squared, 0).min(1))


def collapse_times(outside: np.ndarray, every: int = JUDGED_EVERY) -> np.ndarray:
    """Frames until a rollout collapses: bool [B, L], which looks are outside of what real frames are -> [B], infinite where it never does.

    It has collapsed at the first of `COLLAPSE_LOOKS` looks in a row that all are.
    """
    times = np.full(len(outside), np.inf)
    for row, beyond in enumerate(outside):
        for start in range(len(beyond) - COLLAPSE_LOOKS + 1):
            if beyond[start : start + COLLAPSE_LOOKS].all():
                times[row] = (start + 1) * every
                break
    return times


def survival(times: np.ndarray, followed: np.ndarray) -> Iterator[tuple[float, float]]:
    """When rollouts collapse, and the share that is left then (Kaplan and Meier 1958): some were not followed as far as others.

    Args:
        times: [B], of the collapse; infinite where none was seen.
        followed: [B], frames up to which one would have been seen.
    """
    left = 1.0
    for time in np.unique(times[np.isfinite(times)]):
        left *= 1 - (times == time).sum() / ((times >= time) & (followed >= time)).sum()
        yield float(time), float(left)


def half_life(times: np.ndarray, followed: np.ndarray) -> float:
    """Frames after which half of the rollouts have collapsed; arguments as of `survival`.

    Returns:
        The longest that any was followed where fewer than half have collapsed (a lower bound).
    """
    return next((time for time, left in survival(times, followed) if left <= 0.5 + 1e-9), float(followed.max()))


def alive_after(times: np.ndarray, followed: np.ndarray, horizons: tuple[int, ...]) -> np.ndarray:
    """Share of the rollouts that have not collapsed after so many frames, [len(horizons)]; other arguments as of `survival`."""
    shares = np.ones(len(horizons))
    for time, left in survival(times, followed):
        shares[np.array(horizons) >= time] = left
    return shares


@dataclass(frozen=True)
class Limits:
    """What frames of a game reach, as real ones or as its tokenizer paints them; beyond it a frame is of something else."""

    known: np.ndarray  # features [M, D]
    distance: float  # to the nearest of them, at most
    outlines: float  # at least

    @classmethod
    def of(cls, known: np.ndarray, others: list[np.ndarray], shown: list[np.ndarray]) -> Limits:
        """From features to compare with [M, D], and kinds of other frames, real ones first: features [K, D], outlines [K] of each kind.

        The kind that is farthest off, or shows least, decides; one without frames does not.
        """
        far = max(float(np.quantile(nearest(part, known), OUTSIDE)) for part in others if len(part))
        least = [float(np.quantile(part, 1 - OUTSIDE)) for part in shown if len(part)]
        return cls(known, far, max(min(least), LEAST_OUTLINES * least[0]))

    def outside(self, found: np.ndarray, shown: np.ndarray) -> np.ndarray:
        """Which frames are beyond, from their features [N, D] and outlines [N]."""
        return (nearest(found, self.known) > self.distance) | (shown < self.outlines)


@dataclass(frozen=True)
class Rollouts:
    """Long rollouts, and more that are not as long."""

    frames: np.ndarray  # uint8 [B, T, H, W, 3]
    episodes: np.ndarray  # int [B], that their prompts are of
    shorter: np.ndarray  # uint8 [C, T', H, W, 3]; there may be none
    shorter_episodes: np.ndarray  # int [C]

    @property
    def all_episodes(self) -> np.ndarray:
        """int [B + C]"""
        return np.concatenate([self.episodes, self.shorter_episodes])


@dataclass(frozen=True)
class RealFrames:
    """What they are compared with."""

    reference: np.ndarray  # uint8 [M, H, W, 3]
    control: np.ndarray  # uint8 [K, H, W, 3], of other episodes
    control_episodes: np.ndarray  # int [K]
    walked_episodes: np.ndarray  # int [R], of the stretches whose frames are as far apart as a window's
    stirring: np.ndarray  # float [Q], of stretches of as many frames as it is measured on
    stirring_episodes: np.ndarray  # int [Q]
    painted: np.ndarray  # uint8 [P, H, W, 3], what the tokenizer makes of real frames, unrolled
    painted_episodes: np.ndarray  # int [P]; those of even ones join the reference, the others the control


def drift_section(
    rollouts: Rollouts, codes: np.ndarray, real: RealFrames, seen: dict[str, np.ndarray], vocabulary: int, seed: int = 0
) -> Section:
    """Distances, entropies and collapse of long rollouts.

    Args:
        codes: int [B, T, N, G] of the long ones.
        seen: features of `reference`, `control`, `painted`, `walked` [R, WINDOW, D], `windows` [B, horizons · WINDOW, D], `looks`
            [B, L, D] and those of the shorter ones, `shorter` [C, L', D] (see `chosen_frames`).
    """
    frames, episodes = rollouts.frames, rollouts.episodes
    batch, length = frames.shape[:2]
    horizons = reported(length)
    of, within = np.repeat(np.arange(batch), WINDOW), np.repeat(episodes, WINDOW)
    windows = seen["windows"].reshape(batch, len(horizons), WINDOW, -1)
    size = batch * WINDOW
    stretches, walked_within = np.repeat(np.arange(len(real.walked_episodes)), WINDOW), np.repeat(real.walked_episodes, WINDOW)
    walked = distances(seen["walked"].reshape(len(stretches), -1), seen["reference"], stretches, walked_within, seed)
    real_frechet, real_kernel = (far.estimate for far in walked)
    away = [distances(windows[:, h].reshape(size, -1), seen["reference"], of, within, seed) for h in range(len(horizons))]
    pairs = [(fre.estimate, ker.estimate) for fre, ker in away]
    real_outlines = outlines(real.control)
    painted, painted_outlines, odd = seen["painted"], outlines(real.painted), real.painted_episodes % 2 == 1
    strict = Limits.of(seen["reference"], [seen["control"]], [real_outlines])
    known = np.concatenate([seen["reference"], painted[~odd]])
    limits = Limits.of(known, [seen["control"], painted[odd]], [real_outlines, painted_outlines[odd]])
    judged = []
    for part, found in ((frames, seen["looks"]), (rollouts.shorter, seen["shorter"])):
        looked = part[:, looks(part.shape[1])]
        beyond = limits.outside(found.reshape(-1, found.shape[-1]), outlines(looked).ravel())
        judged.append(collapse_times(beyond.reshape(looked.shape[:2])))
    lengths = np.repeat([length, rollouts.shorter.shape[1]], [batch, len(rollouts.shorter)])
    lasted = _staying(np.concatenate(judged), lengths - (COLLAPSE_LOOKS - 1) * JUDGED_EVERY, rollouts.all_episodes, horizons, seed)
    paint = mean_of(strict.outside(painted, painted_outlines).astype(float), real.painted_episodes, seed)
    other = mean_of(strict.outside(seen["control"], real_outlines).astype(float), real.control_episodes, seed)
    colours = {h: mean_of(colour_entropy(frames[:, window_frames(h)]), episodes, seed) for h in horizons}
    tokens = {h: mean_of(token_entropy(codes[:, max(0, h - 16) : h], vocabulary), episodes, seed) for h in horizons}
    detail = {h: mean_of(outlines(frames[:, window_frames(h)]), episodes, seed) for h in horizons}
    stirs = {h: mean_of(stirring(frames[:, max(0, h - STIR_FRAMES - 1) : h]), episodes, seed) for h in horizons}
    real_detail = mean_of(real_outlines, real.control_episodes, seed)
    real_colour = mean_of(colour_entropy(real.control), real.control_episodes, seed)
    real_stirs = mean_of(real.stirring, real.stirring_episodes, seed)
    metrics = [
        Metric(name="painted_outside", title="the tokenizer's round trips that differ from all real frames", better="lower", world=paint,
               real=other, note="where many do, a collapse is judged by the tokenizer's pictures more than by the game's")
    ]  # fmt: skip
    for h, (fre, ker) in zip(horizons, pairs, strict=True):
        last = h == horizons[-1]
        metrics += [
            Metric(name=f"frechet_lite0_{h}", title=f"Fréchet distance (lite0 features) at {h} frames", better="lower", world=fre,
                   real=real_frechet, headline=last, note=f"{size} frames; real: {len(stretches)} of other episodes, as far apart"),
            Metric(name=f"kernel_lite0_{h}", title=f"kernel distance (lite0 features) at {h} frames", better="lower", world=ker,
                   real=real_kernel, headline=last),
            Metric(name=f"colour_entropy_{h}", title=f"colour entropy at {h} frames", unit="bits", better="neither", world=colours[h],
                   real=real_colour),
            Metric(name=f"token_entropy_{h}", title=f"token entropy of the {min(16, h)} frames up to {h}", unit="bits", better="neither",
                   world=tokens[h]),
            Metric(name=f"outlines_{h}", title=f"outlines at {h} frames, share of pixels", better="neither", world=detail[h],
                   real=real_detail),
            Metric(name=f"stirring_{h}", title=f"steps that change the picture, of the {STIR_FRAMES} up to {h}", better="neither",
                   world=stirs[h], real=real_stirs, headline=last),
        ]  # fmt: skip
    metrics += [
        Metric(name=f"alive_{h}", title=f"rollouts not collapsed after {h} frames", world=share) for h, share in lasted.alive.items()
    ]
    if 32 in horizons and horizons[-1] > 32:
        growth = away[-1][0].over(away[horizons.index(32)][0]).estimate
        metrics.append(
            Metric(name="frechet_growth", title=f"Fréchet distance at {horizons[-1]} frames over that at 32", better="lower", world=growth)
        )
    metrics.append(
        Metric(
            name="half_life", title="half-life: frames until half of the rollouts have collapsed", unit="frames", headline=True,
            world=lasted.half_life, note=f"{lasted.longest} means that fewer than half were seen to collapse",
        )
    )  # fmt: skip
    names = [str(h) for h in horizons]
    curves = (
        Curve(name="drift_frechet", title="Fréchet distance to real frames (lite0 features)", x=horizons,
              lines={"rollouts": tuple(f for f, _ in pairs), "other real frames": (real_frechet,) * len(names)}),
        Curve(name="drift_kernel", title="Kernel distance to real frames (lite0 features)", x=horizons,
              lines={"rollouts": tuple(k for _, k in pairs), "other real frames": (real_kernel,) * len(names)}),
        Curve(name="drift_entropy", title="Entropy", unit="bits", x=horizons,
              lines={"colours": tuple(colours.values()), "colours, real": (real_colour,) * len(names), "tokens": tuple(tokens.values())}),
        Curve(name="drift_outlines", title="Outlines, share of neighbouring pixels", x=horizons,
              lines={"rollouts": tuple(detail.values()), "other real frames": (real_detail,) * len(names)}),
        Curve(name="drift_alive", title="Share of rollouts not collapsed", x=tuple(lasted.alive),
              lines={"rollouts": tuple(lasted.alive.values())}),
    )  # fmt: skip
    return Section(name="drift", title="Drift", metrics=tuple(metrics), curves=curves)


@dataclass(frozen=True)
class _Lasted:
    half_life: Estimate
    alive: dict[int, Estimate]  # at the horizons that a collapse would have been seen up to
    longest: int  # frames up to which any rollout was followed


def _staying(times: np.ndarray, followed: np.ndarray, episodes: np.ndarray, horizons: tuple[int, ...], seed: int) -> _Lasted:
    """Half-life and survival of rollouts, with intervals over the episodes that their prompts are of; times and frames as of `survival`."""
    longest = int(followed.max())
    horizons = tuple(h for h in horizons if h <= longest)
    number, count = groups(episodes)
    lives, alive = [], []
    for taken in draws(count, seed):
        rows = np.repeat(np.arange(len(times)), taken[number])
        if followed[rows].max(initial=0) == longest:  # others cannot tell how long any would have lasted
            lives.append(half_life(times[rows], followed[rows]))
            alive.append(alive_after(times[rows], followed[rows], horizons))
    shares, drawn = alive_after(times, followed, horizons), np.array(alive)
    return _Lasted(
        Estimate.of(half_life(times, followed), *interval(np.array(lives), count), count),
        {h: Estimate.of(shares[at], *interval(drawn[:, at], count), count) for at, h in enumerate(horizons)},
        longest,
    )


def reported(length: int) -> tuple[int, ...]:
    """The horizons that rollouts of this length reach."""
    return tuple(h for h in HORIZONS if h <= length) or (length,)


def window_frames(horizon: int) -> list[int]:
    """Indices of the frames that stand for a horizon (frame h has index h-1)."""
    return [max(0, horizon - 1 - WINDOW_STEP * k) for k in reversed(range(WINDOW))]


def chosen_frames(frames: np.ndarray) -> dict[str, np.ndarray]:
    """Frames of long rollouts that features are needed of: windows [B, horizons · WINDOW, …] and looks [B, L, …]."""
    length = frames.shape[1]
    windows = [index for horizon in reported(length) for index in window_frames(horizon)]
    return {"windows": frames[:, windows], "looks": frames[:, looks(length)]}


def looks(length: int) -> list[int]:
    """Indices of the frames of a rollout that a collapse is looked for in."""
    return list(range(min(JUDGED_EVERY, length) - 1, length, JUDGED_EVERY))


def returned(frames: np.ndarray, start: np.ndarray, out: int) -> tuple[np.ndarray, np.ndarray]:
    """A walk away and back: uint8 [B, 2k + RETURN_SLACK, H, W, 3] and the frame it set out from [B, H, W, 3], k = `out`.

    Returns:
        The best PSNR in dB against the start from the turning point on, and how much that is above the PSNR at the turning point
        (so 0 or more): [B] twice.
    """
    likeness = frame_psnr(squared_error(frames, start[:, None]))
    best = likeness[:, out - 1 :].max(axis=1)
    return best, best - likeness[:, out - 1]


def revisit_section(starts: np.ndarray, walks: dict[int, dict[str, np.ndarray]], episodes: np.ndarray, seed: int = 0) -> Section:
    """Left k, right k: walks k -> frames of "world", "real" and "blind", uint8 [B, 2k + RETURN_SLACK, H, W, 3]."""
    metrics = []
    lines: dict[str, list[Estimate]] = {"world": [], "real": [], "blind": []}
    for out, frames in walks.items():
        found = {label: returned(clips, starts, out) for label, clips in frames.items()}
        left = frame_psnr(squared_error(frames["real"][:, out - 1], starts)) < LEFT_PSNR  # the others stood before a wall
        best, gain = ({label: mean_of(np.where(left, pair[i], np.nan), episodes, seed) for label, pair in found.items()} for i in (0, 1))
        metrics += [
            Metric(name=f"revisit_{out}", title=f"left {out}, right {out}: best PSNR against the start", unit="dB", world=best["world"],
                   real=best["real"], blind=best["blind"]),
            Metric(name=f"revisit_gain_{out}", title=f"left {out}, right {out}: how much nearer the start than at the turn", unit="dB",
                   world=gain["world"], real=gain["real"], blind=gain["blind"], headline=out == 8),
        ]  # fmt: skip
        for label in lines:
            lines[label].append(gain[label])
    says = {"world": "world", "real": "the real game", "blind": "random actions"}
    curve = Curve(
        name="revisit", title="Walking away and back: how much nearer the start than at the turn", unit="dB", x=tuple(walks),
        x_title="frames each way", lines={says[label]: tuple(values) for label, values in lines.items()},
    )  # fmt: skip
    return Section(name="revisit", title="Revisits", metrics=tuple(metrics), curves=(curve,))
