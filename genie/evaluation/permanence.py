"""Object permanence: is the player's figure there, and only once; do the things stay that the prompt showed, each in its place.

What a figure or a crate looks like is a game's own matter: `PROBES` has a plain test of colours for each game that has one; where they have
many looks a judge learns them (`learned`, `genie.evaluation.segments`). The real frames are judged beside the rollouts, so that a test that
does not fit the data at hand is seen to be useless.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from genie.data.clips import ClipSampler
from genie.data.coinrun import FLAT
from genie.data.store import DatasetInfo
from genie.evaluation import games
from genie.evaluation.intervals import mean_of
from genie.evaluation.report import Curve, Estimate, Metric, Section
from genie.evaluation.segments import segments, train_segments
from genie.evaluation.staying_power import Rollouts, reported
from genie.horizons import MOVING_SHARE, PROMPT_FRAMES, moving_share, seen_since
from tokenizer.mosaic import moved

LEAST_ON_REAL = 0.95  # a probe that sees the figure in fewer of the real frames does not know this game's figures

MIDDLE = (slice(26, 39), slice(28, 40))  # CoinRun: rows, columns the agent can stand in; the camera keeps it there
LEAST = 8  # pixels of an agent; whole it has about 20
AGENT_BOX = (7, 6)  # rows, columns of the box that is searched for a second one
SOLID = (4, 3)  # rows, columns of the patches that a crate consists of: more than a ledge's edge
COIN = (1, 2)
NEAR = 2  # pixels that a thing may be off
SURVIVES = 0.5  # share of a thing's pixels in place from which on it is still there
LEAST_THING = 4  # pixels that the real game must show of a thing
LOOKED_AT = 64  # moments for each clip of things that is wanted: coins are rare
BLOCK = 256  # moments that are looked at together


Pixels = dict[str, np.ndarray]  # "agent", and each thing by its name -> bool [..., H, W]


@dataclass(frozen=True)
class Probe:
    """Where a game's figure and its things are, on uint8 [..., H, W, 3]."""

    resolution: tuple[int, int]
    pixels: Callable[[np.ndarray, tuple[str, ...]], Pixels]  # of the kinds that are asked for
    things: tuple[str, ...]


def agent_pixels(frames: np.ndarray) -> np.ndarray:
    """CoinRun's agent is beige or white, which walls (bluish), crates (orange) and coins (yellow) are not: bool [..., 64, 64]."""
    red, green, blue = (frames[..., channel].astype(np.int16) for channel in range(3))
    beige = (red > 180) & (green > 165) & (blue > 125) & (red - blue > 10)
    return beige | (frames.min(-1) > 232)


def agent_there(pixels: np.ndarray) -> np.ndarray:
    """Enough of an agent's pixels bool [..., H, W] stand in the middle: bool [...]."""
    return np.asarray(pixels[..., *MIDDLE].sum(axis=(-1, -2)) >= LEAST)


def second_agent(pixels: np.ndarray) -> np.ndarray:
    """A box elsewhere holds as many: bool [...]."""
    found = pixels.copy()
    found[..., *MIDDLE] = False
    return np.asarray((_box_sums(found, AGENT_BOX) >= LEAST).any(axis=(-1, -2)))


def crates(frames: np.ndarray) -> np.ndarray:
    """The pixels of CoinRun's crates: solid patches of orange."""
    red, green, blue = (frames[..., channel].astype(np.int16) for channel in range(3))
    orange = (red > 150) & (green > 85) & (green < 150) & (blue < 95) & (red - green > 40)
    return _solid(orange, SOLID)


def coins(frames: np.ndarray) -> np.ndarray:
    """The pixels of CoinRun's coin: solid patches of yellow."""
    red, green, blue = (frames[..., channel].astype(np.int16) for channel in range(3))
    return _solid((red > 150) & (green > 120) & (green - blue > 75) & (red - green < 65), COIN)


def _solid(pixels: np.ndarray, box: tuple[int, int]) -> np.ndarray:
    """Those pixels [..., H, W] that lie in a box of h × w filled with them."""
    return _near(_box_sums(pixels, box) == box[0] * box[1], box)


def _near(pixels: np.ndarray, box: tuple[int, int]) -> np.ndarray:
    """bool [..., H, W] -> [..., H+h-1, W+w-1]: whether any holds in the box of h × w that ends there."""
    around = [(0, 0)] * (pixels.ndim - 2) + [(size - 1, size - 1) for size in box]
    return np.asarray(_box_sums(np.pad(pixels, around), box) > 0)


def _box_sums(pixels: np.ndarray, box: tuple[int, int]) -> np.ndarray:
    """bool [..., H, W] -> int [..., H-h+1, W-w+1]: how many hold in each box of h × w."""
    total = np.zeros((*pixels.shape[:-2], pixels.shape[-2] + 1, pixels.shape[-1] + 1), np.int32)
    total[..., 1:, 1:] = pixels.cumsum(-1, dtype=np.int32).cumsum(-2)
    high, wide = box
    return total[..., high:, wide:] - total[..., :-high, wide:] - total[..., high:, :-wide] + total[..., :-high, :-wide]


def by_colour(frames: np.ndarray, kinds: tuple[str, ...]) -> Pixels:
    """CoinRun's figure and things in easy mode, where each has colours of its own."""
    tests = {"agent": agent_pixels, "crate": crates, "coin": coins}
    return {kind: tests[kind](frames) for kind in kinds}


PROBES = {"coinrun": Probe((64, 64), by_colour, ("crate", "coin"))}
LEARNED = {"coinrun-hard": (64, 64)}  # games whose looks a judge learns, and their size


def train_looks(
    info: DatasetInfo,
    frames: int,
    steps: int,
    skip: int,
    seed: int,
    progress: Callable[[str, int, int], None] = lambda part, done, total: None,
) -> dict[str, np.ndarray]:
    """The weights of a judge of CoinRun's looks, trained on so many frames of its training levels, painted twice, in so many steps."""
    painted = games.painted_twice(info, frames, "train", skip, seed, lambda done: progress("the game painted twice", done, frames))
    return train_segments(*painted, len(FLAT) + 1, steps, seed, lambda done: progress("training the judge of things", done, steps))


def learned(weights: dict[str, np.ndarray], resolution: tuple[int, int]) -> Probe:
    """The probe that a judge is."""
    numbers = {kind: number for number, kind in enumerate(FLAT, 1)}
    solid = {"crate": SOLID, "coin": COIN}

    def pixels(frames: np.ndarray, kinds: tuple[str, ...]) -> Pixels:
        shown = segments(weights, frames, len(FLAT) + 1)
        masks = {kind: shown == numbers[kind] for kind in kinds}
        return {kind: _solid(mask, solid[kind]) if kind in solid else mask for kind, mask in masks.items()}

    return Probe(resolution, pixels, ("crate", "coin"))


def starts_with_things(
    probe: Probe, sampler: ClipSampler, count: int, progress: Callable[[int, int], None] = lambda done, total: None
) -> np.ndarray:
    """Where clips start that are in motion, whose prompt ends on a thing, and whose last real frame shows one of its kind: int [N].

    Up to `count` clips a kind, spread over the split, the same on every call; there may be none.
    """
    starts = np.unique(sampler.spread_starts(min(LOOKED_AT * count, sampler.choices)))
    starts = starts[moving_share(sampler, starts) >= MOVING_SHARE]
    showing = {thing: np.zeros(len(starts), np.bool_) for thing in probe.things}
    for i in range(0, len(starts), BLOCK):
        block = slice(i, i + BLOCK)
        shown = [
            probe.pixels(sampler.read(starts[block] + sampler.skip * frame, 1).frames[:, 0], probe.things)
            for frame in (PROMPT_FRAMES - 1, sampler.length - 1)
        ]
        for thing, found in showing.items():
            found[block] = np.all([pixels[thing].sum(axis=(-1, -2)) >= LEAST_THING for pixels in shown], axis=0)
        progress(min(i + BLOCK, len(starts)), len(starts))
    each = [starts[there] for there in showing.values()]
    return np.unique(np.concatenate([own[np.linspace(0, len(own) - 1, min(count, len(own))).astype(np.int64)] for own in each]))


def in_place(truth: np.ndarray, made: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """How much of a thing is still where the real game has it: bool [B, H, W] three times -> float [B].

    Args:
        truth: its pixels in the real frames.
        made: its pixels in the world's.
        seen: pixels of the real frames that the prompt showed already (`genie.horizons.seen_since`, cells of one pixel).

    Returns:
        The share of the real thing's pixels that the world shows no further than `NEAR` pixels off; NaN where the real game shows
        fewer than `LEAST_THING` of them.
    """
    there = truth & seen
    around = _near(made, (2 * NEAR + 1, 2 * NEAR + 1))[..., NEAR:-NEAR, NEAR:-NEAR]
    count = there.sum(axis=(-1, -2))
    return np.where(count >= LEAST_THING, (there & around).sum(axis=(-1, -2)) / np.maximum(count, 1), np.nan)


def stays(
    thing: str,
    prompted: np.ndarray,
    shown: dict[str, np.ndarray],
    scrolls: dict[str, np.ndarray],
    horizons: tuple[int, ...],
    episodes: np.ndarray,
    seed: int,
) -> list[Metric]:
    """Are things where the picture has scrolled them to: of the "world" along its own scrolls, of the "truth" along the measured ones.

    The lower bound is the rollout of another clip.

    Args:
        prompted: bool [N, H, W], the thing's pixels in the prompt's last frame.
        shown: its pixels at the horizons, bool [N, len(horizons), H, W].
        scrolls: int [N, S, 2] after the prompt.
    """
    places = {label: carried(prompted, own)[:, np.array(horizons) - 1] for label, own in scrolls.items()}
    compared = {"world": ("world", shown["world"]), "real": ("truth", shown["truth"]), "blind": ("world", of_others(shown["world"]))}
    metrics = []
    for at, step in enumerate(horizons):
        found = {}
        for label, (along, pixels) in compared.items():
            shares = in_place(places[along][:, at], pixels[:, at], np.ones_like(pixels[:, at]))
            found[label] = mean_of(np.where(np.isfinite(shares), shares >= SURVIVES, np.nan), episodes, seed)
        metrics.append(
            Metric(
                name=f"{thing}_stays_{step}", title=f"clips whose {thing}s are where the world has scrolled them to, {step} on",
                world=found["world"], real=found["real"], blind=found["blind"], headline=step == 32,
                note="blind: the rollout of another clip",
            )
        )  # fmt: skip
    return metrics


def of_others(clips: np.ndarray) -> np.ndarray:
    """Each clip's place taken by another one, half of them further on."""
    return np.roll(clips, len(clips) // 2, axis=0)


def carried(pixels: np.ndarray, scrolls: np.ndarray) -> np.ndarray:
    """Where the pixels of a frame go: bool [B, H, W] and scrolls int [B, S, 2] -> bool [B, S, H, W]. What leaves does not return."""
    made = np.zeros((len(pixels), scrolls.shape[1], *pixels.shape[1:]), np.bool_)
    shown = pixels
    for step in range(scrolls.shape[1]):
        made[:, step] = shown = moved(shown, scrolls[:, step])
    return made


def permanence_section(
    probe: Probe,
    rollouts: Rollouts,
    real: np.ndarray,
    real_episodes: np.ndarray,
    clips: dict[str, np.ndarray],
    scrolls: dict[str, np.ndarray],
    prompt_frames: int,
    horizons: tuple[int, ...],
    episodes: np.ndarray,
    seed: int = 0,
) -> Section:
    """Figures over long rollouts, things against the truth.

    Args:
        rollouts: the shorter ones of 256 frames or more where the long ones are longer than that.
        real: uint8 [M, H, W, 3] of held-out levels.
        clips: "truth" uint8 [N, P + S, …]; "world" and the tokenizer's round trip "tokenizer" [N, S, …].
        scrolls: of "truth", int [N, P + S - 1, 2], and "world", int [N, S, 2]: rows down and columns right.
    """
    length, within = rollouts.frames.shape[1], rollouts.episodes
    (there, one), (more_there, more_one), (real_agent_there, real_agent_alone) = (
        (agent_there(agents), agent_there(agents) & ~second_agent(agents))
        for agents in (probe.pixels(frames, ("agent",))["agent"] for frames in (rollouts.frames, rollouts.shorter, real))
    )
    real_there = mean_of(real_agent_there, real_episodes, seed)
    real_one = mean_of(real_agent_alone, real_episodes, seed)
    fits = real_there.value is not None and real_there.value >= LEAST_ON_REAL
    marks = reported(length)
    first = [0, *marks[:-1]]
    metrics = [
        Metric(name="agent_there", title=f"agent there, over {length} frames", world=mean_of(there, within, seed), real=real_there,
               headline=True),
        Metric(name="agent_alone", title=f"exactly one agent, over {length} frames", world=mean_of(one, within, seed), real=real_one,
               headline=True),
    ]  # fmt: skip
    if length > 256:
        early_there, early_one = (np.concatenate([part[:, :256] for part in parts]) for parts in ((there, more_there), (one, more_one)))
        metrics += [
            Metric(name=f"{name}_256", title=f"{title}, up to frame 256", world=mean_of(early, rollouts.all_episodes, seed), real=on_real)
            for name, title, early, on_real in (
                ("agent_there", "agent there", early_there, real_there), ("agent_alone", "exactly one agent", early_one, real_one),
            )
        ]  # fmt: skip
    spans = list(zip(first, marks, strict=True))
    lines: dict[str, tuple[Estimate, ...]] = {
        "agent there": tuple(mean_of(there[:, a:b], within, seed) for a, b in spans),
        "exactly one": tuple(mean_of(one[:, a:b], within, seed) for a, b in spans),
        "exactly one, real": (real_one,) * len(marks),
    }
    curves = [Curve(name="agent", title="The agent, in the frames up to a horizon", x=marks, lines=lines)]
    names = {"world": "world", "blind": "the rollout of another clip", "tokenizer": "the tokenizer's round trip"}
    moments = np.array(horizons) - 1
    truth = probe.pixels(clips["truth"][:, prompt_frames + moments], probe.things)
    prompted = probe.pixels(clips["truth"][:, prompt_frames - 1], probe.things)
    seen = seen_since(scrolls["truth"], prompt_frames, probe.resolution, 1)[:, prompt_frames:]
    made = {label: probe.pixels(clips[label][:, moments], probe.things) for label in names if label in clips}
    made["blind"] = {thing: of_others(pixels) for thing, pixels in made["world"].items()}
    for thing in probe.things:
        shown = {"truth": truth[thing], "world": made["world"][thing]}
        after = {"truth": scrolls["truth"][:, prompt_frames - 1 :], "world": scrolls["world"]}
        metrics += stays(thing, prompted[thing], shown, after, horizons, episodes, seed)
        kept_by: dict[str, list[Estimate]] = {label: [] for label in made}
        for at, step in enumerate(horizons):
            found = {label: in_place(truth[thing][:, at], made[label][thing][:, at], seen[:, step - 1]) for label in made}
            estimates = {label: mean_of(shares, episodes, seed) for label, shares in found.items()}
            judged = int(np.isfinite(found["world"]).sum())
            trip = estimates["tokenizer"].value if "tokenizer" in estimates else None
            metrics.append(
                Metric(
                    name=f"{thing}_kept_{step}", title=f"{thing}s still in place, {step} frame{'s' * (step > 1)} on",
                    world=estimates["world"],
                    real=Estimate(value=1.0, low=1.0, high=1.0) if judged else None, blind=estimates.get("blind"),
                    headline=step in (10, 32),
                    note=f"{judged} clips whose prompt showed one that the real game still shows"
                    + (f"; the tokenizer's round trip: {trip:.0%}" if trip is not None else ""),
                )
            )  # fmt: skip
            survives = {label: mean_of(np.where(np.isfinite(s), s >= SURVIVES, np.nan), episodes, seed) for label, s in found.items()}
            metrics.append(
                Metric(
                    name=f"{thing}_survives_{step}", title=f"clips with at least half of their {thing}s in place, {step} on",
                    world=survives["world"], blind=survives.get("blind"),
                )
            )  # fmt: skip
            for label, estimate in estimates.items():
                kept_by[label].append(estimate)
        curves.append(Curve(name=f"{thing}_kept", title=f"How much of the {thing}s that the prompt showed is still in place", x=horizons,
                            lines={names[label]: tuple(values) for label, values in kept_by.items()}))  # fmt: skip
    section = Section(name="permanence", title="Object permanence", metrics=tuple(metrics), curves=tuple(curves))
    if fits:
        return section
    note = f"the probe finds the agent in {real_there.value or 0:.0%} of the real frames only: it does not fit this data"
    return section.model_copy(
        update={"notes": (note,), "metrics": tuple(metric.model_copy(update={"useless": True, "note": note}) for metric in metrics)}
    )
