"""Controllability: does the frame obey the action (docs/evaluation.md has the formulas).

Δ_t PSNR after Genie (Bruce et al. 2024, section 3); action recall by an inverse-dynamics model; what latent codes say about actions;
counterfactuals against the real game, branched.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genie.data.store import UNKNOWN_ACTION
from genie.evaluation.intervals import mean_of, statistic_of
from genie.evaluation.inverse_dynamics import BEFORE, confusions, f1, macro_f1
from genie.evaluation.report import Curve, Estimate, Metric, Section
from genie.horizons import DELTA_STEPS
from genie.metrics import entropy_bits, frame_psnr, information, perplexity, squared_error

DEAD_SHARE = 0.005  # of the transitions: a latent code below it is dead
LEAST_CONTRAST = 1.0  # root mean squared levels: below it the real game makes no difference between two branches
CONTRASTS = (("left", "right"), ("noop", "jump"))  # pairs of actions that are held from one moment


def delta(truth: np.ndarray, made: np.ndarray, made_random: np.ndarray) -> np.ndarray:
    """Δ PSNR in dB of each clip: frames uint8 [B, H, W, 3] under the true actions and under random ones -> [B]."""
    return frame_psnr(squared_error(made, truth)) - frame_psnr(squared_error(made_random, truth))


def delta_metric(
    kind: str,
    truth: np.ndarray,
    made: np.ndarray,
    made_random: np.ndarray,
    made_random_again: np.ndarray,
    real_random: np.ndarray | None,
    episodes: np.ndarray,
    seed: int = 0,
) -> Metric:
    """Δ_4 PSNR; all frames uint8 [B, H, W, 3], `DELTA_STEPS` after the prompt.

    Bounds: the real game under true and random actions, and the world under random actions twice.
    """
    return Metric(
        name=f"delta_{DELTA_STEPS}_{kind}",
        title=f"Δ_{DELTA_STEPS} PSNR, {'latent actions' if kind == 'latent' else 'the recorded keys'}",
        unit="dB",
        world=mean_of(delta(truth, made, made_random), episodes, seed),
        real=None if real_random is None else mean_of(delta(truth, truth, real_random), episodes, seed),
        blind=mean_of(delta(truth, made_random, made_random_again), episodes, seed),
        headline=True,
    )


def recall_metrics(
    actions: np.ndarray, answers: dict[str, np.ndarray], names: tuple[str, ...], episodes: np.ndarray, seed: int = 0
) -> list[Metric]:
    """F1 per action, their mean, and its share of that on real clips.

    Args:
        actions: int [B, T-1], what was held.
        answers: the judge's int [B, T - SPAN + 1] about "world", "real" and "blind" clips.
    """
    told = actions[:, BEFORE : BEFORE + answers["real"].shape[1]]
    tables = {label: confusions(told, found, len(names)) for label, found in answers.items()}

    def of(label: str, action: int | None) -> Estimate:
        if action is None:
            return statistic_of(tables[label], macro_f1, episodes, seed)
        occurs = np.asarray(tables[label][:, action].any(1))
        return statistic_of(tables[label], lambda table: f1(table, action), episodes, seed, 200, occurs)

    metrics = [
        Metric(name="action_f1", title="action recall: mean F1 of the judge", world=of("world", None), real=of("real", None),
               blind=of("blind", None), headline=True),
        Metric(name="action_f1_share", title="action recall, as a share of that on real clips", headline=True,
               world=_share(tables["world"], tables["real"], episodes, seed),
               real=Estimate(value=1.0, low=1.0, high=1.0), blind=_share(tables["blind"], tables["real"], episodes, seed)),
    ]  # fmt: skip
    for action, name in enumerate(names):
        title = f"F1 of {name}"
        metrics.append(
            Metric(name=f"f1_{name}", title=title, world=of("world", action), real=of("real", action), blind=of("blind", action))
        )
    return metrics


def _share(world: np.ndarray, real: np.ndarray, episodes: np.ndarray, seed: int) -> Estimate:
    def ratio(tables: np.ndarray) -> float:
        there = macro_f1(tables[1])
        return macro_f1(tables[0]) / there if there else float("nan")

    return statistic_of(np.stack([world, real], axis=1), ratio, episodes, seed)


def code_tables(codes: np.ndarray, actions: np.ndarray, latent: int, names: int) -> np.ndarray:
    """int [B, T] twice -> counts [B, latent, names] of a code with a recorded action; unknown actions left out."""
    tables = np.zeros((len(codes), latent, max(1, names)))
    known = actions != UNKNOWN_ACTION
    rows = np.broadcast_to(np.arange(len(codes))[:, None], codes.shape)
    np.add.at(tables, (rows[known], codes[known], actions[known]), 1)
    return tables


def latent_metrics(
    codes: np.ndarray, actions: np.ndarray, latent: int, names: tuple[str, ...], episodes: np.ndarray, seed: int = 0
) -> list[Metric]:
    """How evenly latent codes int [B, T] are used, and the bits that they say about the recorded actions."""
    counts = np.stack([np.bincount(row, minlength=latent) for row in codes]).astype(np.float64)
    rarest = statistic_of(counts, lambda table: float(table.min() / table.sum()), episodes, seed)
    even = statistic_of(counts, perplexity, episodes, seed)
    metrics = [
        Metric(name="latent_perplexity", title=f"latent codes in use evenly, of {latent}", world=even, headline=True),
        Metric(name="latent_rarest_share", title="share of the rarest latent code", world=rarest,
               note=f"a code below {DEAD_SHARE:.1%} is dead"),
    ]  # fmt: skip
    if names and (actions != UNKNOWN_ACTION).any():
        tables = code_tables(codes, actions, latent, len(names))
        strangers = code_tables(codes, np.roll(actions, max(1, len(actions) // 2), axis=0), latent, len(names))
        metrics.append(
            Metric(
                name="latent_information",
                title="what a latent code says about the action",
                unit="bits",
                world=statistic_of(tables, information, episodes, seed),
                real=statistic_of(tables.sum(1), lambda table: float(entropy_bits(table)), episodes, seed),
                blind=statistic_of(strangers, information, episodes, seed),
                note="real: the entropy of the actions; blind: codes beside the actions of another clip",
            )
        )
    return metrics


@dataclass(frozen=True)
class Contrast:
    """Two futures of one moment, model against truth: float [B, S] each, NaN where the truth makes no difference."""

    cosine: np.ndarray  # direction of the model's difference picture against the true one
    gain: np.ndarray  # its size along the true one
    sides: np.ndarray  # 0, ½ or 1: how many of the model's two frames are nearer to their own truth than to the other


def contrast(truth: tuple[np.ndarray, np.ndarray], made: tuple[np.ndarray, np.ndarray]) -> Contrast:
    """Frames uint8 [B, S, H, W, 3] of the two branches, of the real game and of the model."""
    true_a, true_b, made_a, made_b = (frames.astype(np.float32) for frames in (*truth, *made))
    wanted, got = true_a - true_b, made_a - made_b
    axes = (-3, -2, -1)
    product = (wanted * got).sum(axes)
    size, other = (np.sqrt((part * part).sum(axes)) for part in (wanted, got))
    differs = size > LEAST_CONTRAST * np.sqrt(np.prod(wanted.shape[2:]))
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.where(differs, np.where(other > 0, product / (size * other), 0.0), np.nan)
        gain = np.where(differs, product / size**2, np.nan)
    own = squared_error(made_a, true_a) < squared_error(made_a, true_b), squared_error(made_b, true_b) < squared_error(made_b, true_a)
    return Contrast(cosine, gain, np.where(differs, (own[0].astype(float) + own[1]) / 2, np.nan))


def counterfactual_section(
    pairs: dict[str, tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]],
    blind: tuple[np.ndarray, np.ndarray],
    episodes: np.ndarray,
    seed: int = 0,
) -> Section:
    """Metrics and curves of the contrasts.

    Args:
        pairs: "left or right" -> (truth a, truth b), (made a, made b), uint8 [B, S, H, W, 3] each.
        blind: the world under random actions, twice.
    """
    metrics, curves = [], []
    lines: dict[str, dict[str, tuple[Estimate, ...]]] = {"cosine": {}, "gain": {}, "sides": {}}
    for title, (truth, made) in pairs.items():
        found, itself, deaf = contrast(truth, made), contrast(truth, truth), contrast(truth, blind)
        name = title.replace(" ", "_")
        for key, says in (
            ("cosine", "direction of the contrast (cosine)"),
            ("gain", "size of the contrast along the true one"),
            ("sides", "frames nearer to their own branch"),
        ):
            world, real, lower = (mean_of(getattr(part, key), episodes, seed) for part in (found, itself, deaf))
            metrics.append(
                Metric(
                    name=f"contrast_{key}_{name}", title=f"{title}: {says}", world=world, real=real, blind=lower,
                    better="neither" if key == "gain" else "higher", headline=key == "cosine",
                )
            )  # fmt: skip
            steps = range(getattr(found, key).shape[1])
            lines[key][title] = tuple(mean_of(getattr(found, key)[:, s], episodes, seed) for s in steps)
    length = next(iter(pairs.values()))[0][0].shape[1]
    for key, title in (("cosine", "Direction of the contrast (cosine)"), ("sides", "Frames nearer to their own branch")):
        curves.append(Curve(name=f"contrast_{key}", title=title, x=tuple(range(1, length + 1)), log_x=False, lines=lines[key]))
    return Section(name="counterfactuals", title="Counterfactuals: one moment, two futures", metrics=tuple(metrics), curves=tuple(curves))
