"""Making a dataset's card, and what is wrong with a dataset: leaks, unknown licence, cuts inside episodes, empty actions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from genie.data.card import CARD_FILE, CARD_TEXT, DatasetCard, Leaks, SplitFigures, licence_known, markdown
from genie.data.info import summarise
from genie.data.scenes import STILL_LEVELS, Footage, changes, cuts, thumbnails
from genie.data.store import SHARD_FRAMES, SPLITS, UNKNOWN_ACTION, Dataset, Split, SplitData, write_json
from genie.metrics import perplexity

SAMPLE_CHUNKS = 64
SAMPLE_FRAMES = 64  # in a row
MOST_LOOKED_AT = 2_000_000  # training frames searched for copies; 250 bytes each
TOLERATED_COPIES = 0.02  # share of held-out windows
TOLERATED_CUTS = 2e-3  # a frame; ordinary play of Doom looks like so many, in a third of its episodes, so fewer prove nothing


def make_card(dataset: Dataset, leaks: Leaks | None = None) -> DatasetCard:
    """The card of a dataset, its statistics from a sample of a few thousand frames."""
    info, recipe = dataset.info, dict(dataset.info.recipe)
    machine = "game" in recipe and not str(recipe.get("policy", "")).startswith("human")  # genie recorded it, and no person played
    return DatasetCard(
        name=info.name,
        source=str(recipe.get("source") or recipe.get("game") or "unknown"),
        licence=info.licence,
        consent=str(recipe.get("consent") or ("not needed: no people played" if machine else "unknown")),
        policy=str(recipe.get("policy", "unknown")),
        resolution=info.resolution,
        game_rate=info.game_rate,
        frame_skip=info.frame_skip,
        actions=info.action_names,
        splits={name: _figures(dataset, name) for name in SPLITS},
        leaks=leaks,
        recipe={key: value for key, value in recipe.items() if key not in ("source", "consent")},
    )


def write_card(dataset: Dataset, leaks: Leaks | None = None) -> DatasetCard:
    """Make the card and write it beside the data, as JSON and as Markdown."""
    card = make_card(dataset, leaks)
    write_json(dataset.path / CARD_FILE, card.model_dump(mode="json"))
    partial = dataset.path / f"{CARD_TEXT}.partial"
    partial.write_text(markdown(card))
    os.replace(partial, dataset.path / CARD_TEXT)
    return card


def find_leaks(dataset: Dataset, progress: Callable[[int, int], None] = lambda done, total: None) -> Leaks:
    """Read every frame and look for held-out stretches in the training split, for levels in both, and for cuts inside episodes.

    Args:
        progress: called with the frames read and the frames there are.
    """
    train, held_out = dataset.split("train"), dataset.split("held_out")
    total = len(train) + len(held_out)
    footage: dict[str, Footage] = {}
    hidden = done = 0
    for name, data in (("train", train), ("held_out", held_out)):
        episodes: list[np.ndarray] = []
        for part in _episodes(data):
            thumbs = thumbnails(part)
            hidden += len(cuts(thumbs))
            if sum(map(len, episodes)) < MOST_LOOKED_AT:
                episodes.append(thumbs.mean(axis=3, keepdims=True).round().astype(np.uint8))
            done += len(part)
            progress(done, total)
        footage[name] = Footage.of(episodes)
    windows = footage["held_out"].windows(dataset.info.game_rate)
    copied = footage["held_out"].copies(windows, footage["train"])
    shared = np.intersect1d(train.level_seeds, held_out.level_seeds)
    return Leaks(windows=len(windows), copied=int((copied >= 0).sum()), shared_levels=len(shared), hidden_cuts=hidden)


def leaked(leaks: Leaks) -> dict[str, str]:
    """What the held-out split has of the training split, and what to do about it."""
    found = {}
    if leaks.windows and leaks.copied / leaks.windows > TOLERATED_COPIES:
        says = f"leak: {leaks.copied} of {leaks.windows} held-out stretches are in the training split too, so its marks flatter"
        found[says] = "record with other seeds, or import without the copies."
    if leaks.shared_levels:
        found[f"leak: {leaks.shared_levels} levels, videos or scenes are in both splits"] = "split them by level."
    return found


def problems(card: DatasetCard) -> list[str]:
    """What is wrong, in sentences that say what to do; nothing where all is well."""
    found = []
    if not licence_known(card.licence):
        found.append("licence unknown: find out under what terms the data may be used and record or import it with --licence.")
    if card.leaks is not None:
        leaks, frames = card.leaks, sum(split.frames for split in card.splits.values())
        found += [f"{says}; {cure}" for says, cure in leaked(leaks).items()]
        if leaks.hidden_cuts / max(1, frames) > TOLERATED_CUTS:
            found.append(f"{leaks.hidden_cuts} cuts lie inside episodes, so clips would cross them; import the videos with `genie import`.")
    for name, split in card.splits.items():
        if card.actions and split.action_share.get("unknown", 0.0) > 0.5:
            found.append(f"{name}: {split.action_share['unknown']:.0%} of the frames have no action, although actions have names.")
        elif name == "train" and (empty := [action for action in card.actions if split.action_share.get(action, 0.0) == 0.0]):
            found.append(f"{name}: nobody ever took {', '.join(empty)}; a world cannot learn them. Record more, or without them.")
    return found


def _figures(dataset: Dataset, name: Split) -> SplitFigures:
    data, summary = dataset.split(name), summarise(dataset)[name]
    lengths = data.episode_ends - data.episode_starts
    counts = np.bincount(data.actions, minlength=UNKNOWN_ACTION + 1)[:UNKNOWN_ACTION]
    return SplitFigures(
        frames=summary.frames,
        episodes=summary.episodes,
        levels=summary.levels,
        shortest=int(lengths.min()),
        longest=int(lengths.max()),
        action_share={} if not dataset.info.action_names else {key: round(float(v), 6) for key, v in summary.action_share.items()},
        action_entropy=round(float(np.log2(perplexity(counts))), 4),
        **_statistics(data, dataset.info.frame_skip),
    )


def _statistics(data: SplitData, skip: int) -> dict[str, float]:
    """Brightness, contrast and motion of chunks spread over a split; steps stay within an episode."""
    starts = np.arange(0, len(data), SAMPLE_FRAMES)
    starts = starts[np.unique(np.linspace(0, len(starts) - 1, SAMPLE_CHUNKS).astype(np.int64))]
    sums = np.zeros(3)
    moved: list[np.ndarray] = []
    still: list[np.ndarray] = []
    for start in starts:
        frames = np.asarray(data.frames[int(start) : int(start) + SAMPLE_FRAMES])
        sums += (frames.size, frames.sum(dtype=np.float64), np.square(frames, dtype=np.float64).sum())
        episode = np.searchsorted(data.episode_starts, start + np.arange(len(frames)), side="right")
        same = episode[skip:] == episode[:-skip]
        later, earlier = frames[skip:][same].astype(np.int16), frames[:-skip][same].astype(np.int16)
        moved.append(np.abs(later - earlier).mean(axis=(1, 2, 3)))
        pairs: Iterable[np.ndarray] = ()
        if same.any():
            pairs = np.stack([thumbnails(frames[:-skip][same]), thumbnails(frames[skip:][same])], axis=1)
        still.append(np.array([changes(pair)[1][0] <= STILL_LEVELS for pair in pairs], bool))
    mean = sums[1] / sums[0]
    motion, quiet = np.concatenate(moved), np.concatenate(still)
    return {
        "brightness": round(float(mean), 3),
        "contrast": round(float(np.sqrt(max(0.0, sums[2] / sums[0] - mean**2))), 3),
        "motion": round(float(motion.mean()), 4) if len(motion) else 0.0,
        "still": round(float(quiet.mean()), 4) if len(quiet) else 0.0,
    }


def _episodes(data: SplitData) -> Any:
    """The frames of each episode in order, uint8 [T, H, W, 3], read shard by shard; a long episode in parts."""
    first, block = 0, np.zeros(0, np.uint8)
    for start, end in zip(data.episode_starts, data.episode_ends, strict=True):
        for part in range(int(start), int(end), SHARD_FRAMES):
            stop = min(int(end), part + SHARD_FRAMES)
            if not len(block) or stop > first + len(block):
                first = part
                block = np.asarray(data.frames[first : min(len(data), max(stop, first + SHARD_FRAMES))])
            yield block[part - first : stop - first]
