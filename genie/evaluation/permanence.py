"""Object permanence: is the player's figure there, and only once; do things stay that the real game shows all the while.

What a figure or a crate looks like is a game's own matter: `PROBES` has a plain test of colours for each game that has one. The real
frames are judged beside the rollouts, so that a test that does not fit the data at hand is seen to be useless.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from genie.evaluation.intervals import mean_of
from genie.evaluation.report import Curve, Estimate, Metric, Section
from genie.evaluation.staying_power import reported

LEAST_ON_REAL = 0.95  # a probe that sees the figure in fewer of the real frames does not know this game's figures

MIDDLE = (slice(26, 39), slice(28, 40))  # CoinRun: rows, columns the agent can stand in; the camera keeps it there
LEAST = 8  # pixels of an agent; whole it has about 20
AGENT_BOX = (7, 6)  # rows, columns of the box that is searched for a second one
SOLID = (4, 3)  # rows, columns that must all be orange for a crate: more than a ledge's edge


@dataclass(frozen=True)
class Probe:
    """Tests of a game's own things; each maps uint8 [..., H, W, 3] to bool [...]."""

    resolution: tuple[int, int]
    agent: Callable[[np.ndarray], np.ndarray]  # it is there
    second: Callable[[np.ndarray], np.ndarray]  # there is another one
    things: dict[str, Callable[[np.ndarray], np.ndarray]]  # "crate": one is in the picture


def agent_pixels(frames: np.ndarray) -> np.ndarray:
    """CoinRun's agent is beige or white, which walls (bluish), crates (orange) and coins (yellow) are not: bool [..., 64, 64]."""
    red, green, blue = (frames[..., channel].astype(np.int16) for channel in range(3))
    beige = (red > 180) & (green > 165) & (blue > 125) & (red - blue > 10)
    return beige | (frames.min(-1) > 232)


def agent_there(frames: np.ndarray) -> np.ndarray:
    """Enough of its pixels stand in the middle."""
    return np.asarray(agent_pixels(frames)[..., *MIDDLE].sum(axis=(-1, -2)) >= LEAST)


def second_agent(frames: np.ndarray) -> np.ndarray:
    """A box elsewhere holds as many."""
    found = agent_pixels(frames)
    found[..., *MIDDLE] = False
    return np.asarray((_box_sums(found, AGENT_BOX) >= LEAST).any(axis=(-1, -2)))


def crate_shown(frames: np.ndarray) -> np.ndarray:
    """A solid patch of orange."""
    red, green, blue = (frames[..., channel].astype(np.int16) for channel in range(3))
    orange = (red > 150) & (green > 85) & (green < 150) & (blue < 95) & (red - green > 40)
    return (_box_sums(orange, SOLID) == SOLID[0] * SOLID[1]).any(axis=(-1, -2))


def _box_sums(pixels: np.ndarray, box: tuple[int, int]) -> np.ndarray:
    """bool [..., H, W] -> int [..., H-h+1, W-w+1]: how many hold in each box of h × w."""
    total = np.zeros((*pixels.shape[:-2], pixels.shape[-2] + 1, pixels.shape[-1] + 1), np.int32)
    total[..., 1:, 1:] = pixels.cumsum(-1, dtype=np.int32).cumsum(-2)
    high, wide = box
    return total[..., high:, wide:] - total[..., :-high, wide:] - total[..., high:, :-wide] + total[..., :-high, :-wide]


PROBES = {"coinrun": Probe((64, 64), agent_there, second_agent, {"crate": crate_shown})}


def kept(truth: np.ndarray, made: np.ndarray, step: int) -> np.ndarray:
    """Does a thing stay: bool [B, 1 + S] (the last prompt frame and the truth after it) and bool [B, S] -> float [B].

    Judged only where the truth shows it in every frame up to the step (NaN elsewhere): what left the view need not come back.
    """
    judged = truth[:, : step + 1].all(axis=1)
    return np.where(judged, made[:, step - 1].astype(float), np.nan)


def permanence_section(
    probe: Probe,
    long: np.ndarray,
    real: np.ndarray,
    real_episodes: np.ndarray,
    clips: dict[str, np.ndarray],
    prompt_frames: int,
    horizons: tuple[int, ...],
    episodes: np.ndarray,
    seed: int = 0,
) -> Section:
    """Figures over long rollouts, things against the truth.

    Args:
        long: uint8 [B, T, H, W, 3].
        real: uint8 [M, H, W, 3] of held-out levels.
        clips: "truth" uint8 [N, P + S, …]; "world", "blind" and the tokenizer's round trip "tokenizer" [N, S, …].
    """
    batch, length = long.shape[:2]
    rollouts = np.arange(batch)
    there, alone = probe.agent(long), ~probe.second(long)
    one = there & alone
    real_there = mean_of(probe.agent(real), real_episodes, seed)
    real_one = mean_of(probe.agent(real) & ~probe.second(real), real_episodes, seed)
    fits = real_there.value is not None and real_there.value >= LEAST_ON_REAL
    note = "" if fits else f"the probe finds the agent in {real_there.value or 0:.0%} of the real frames only: it does not fit this data"
    marks = reported(length)
    first = [0, *marks[:-1]]
    metrics = [
        Metric(name="agent_there", title=f"agent there, over {length} frames", world=mean_of(there, rollouts, seed), real=real_there,
               useless=not fits, note=note, headline=True),
        Metric(name="agent_alone", title=f"exactly one agent, over {length} frames", world=mean_of(one, rollouts, seed), real=real_one,
               useless=not fits, note=note, headline=True),
    ]  # fmt: skip
    if length > 256:
        metrics.append(Metric(name="agent_there_256", title="agent there, up to frame 256", world=mean_of(there[:, :256], rollouts, seed),
                              real=real_there, useless=not fits, note=note))  # fmt: skip
    spans = list(zip(first, marks, strict=True))
    lines: dict[str, tuple[Estimate, ...]] = {
        "agent there": tuple(mean_of(there[:, a:b], rollouts, seed) for a, b in spans),
        "exactly one": tuple(mean_of(one[:, a:b], rollouts, seed) for a, b in spans),
        "exactly one, real": (real_one,) * len(marks),
    }
    curves = [Curve(name="agent", title="The agent, in the frames up to a horizon", x=marks, lines=lines)]
    for thing, shows in probe.things.items():
        truth = shows(clips["truth"])[:, prompt_frames - 1 :]
        made = {label: shows(frames) for label, frames in clips.items() if label != "truth"}
        stays: dict[str, list[Estimate]] = {label: [] for label in made}
        for step in horizons:
            estimates = {label: mean_of(kept(truth, found, step), episodes, seed) for label, found in made.items()}
            judged = int(np.isfinite(kept(truth, made["world"], step)).sum())
            metrics.append(
                Metric(
                    name=f"{thing}_kept_{step}", title=f"{thing} kept, {step} frame{'s' * (step > 1)} on", world=estimates["world"],
                    real=Estimate(value=1.0, low=1.0, high=1.0) if judged else None, blind=estimates.get("blind"), headline=step == 10,
                    note=f"{judged} clips in which the real game shows one in every frame"
                    + (f"; the tokenizer's round trip: {estimates['tokenizer'].value:.0%}" if judged and "tokenizer" in estimates else ""),
                )
            )  # fmt: skip
            for label, estimate in estimates.items():
                stays[label].append(estimate)
        names = {"world": "world", "blind": "random actions", "tokenizer": "the tokenizer's round trip"}
        curves.append(Curve(name=f"{thing}_kept", title=f"A {thing} that the real game keeps showing", x=horizons,
                            lines={names[label]: tuple(values) for label, values in stays.items()}))  # fmt: skip
    return Section(name="permanence", title="Object permanence", metrics=tuple(metrics), curves=tuple(curves))
