"""Cards and checks: what is wrong with data is found, and worlds carry the card of their data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import genie
from genie.data.card import CARD_FILE, CARD_TEXT, licence_known, licence_of_weights, parse_card, read_card
from genie.data.check import find_leaks, make_card, problems, write_card
from genie.data.store import Dataset, DatasetInfo, DatasetWriter
from genie.errors import DatasetError


def walk(seed: int, length: int = 60) -> np.ndarray:
    """A square that wanders over a background of its own."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8).repeat(16, axis=0).repeat(16, axis=1)[None].repeat(length, axis=0)
    swing = np.sin(np.arange(length)[:, None] / rng.uniform(5, 9, 2) + rng.uniform(0, 6, 2))
    for frame, (y, x) in zip(frames, (24 + 20 * swing).astype(int), strict=True):
        frame[y : y + 16, x : x + 16] = 255 - frame[y : y + 16, x : x + 16]
    return frames


def dataset_of(path: Path, train: list[np.ndarray], held_out: list[np.ndarray], actions: int = 2, **changes: object) -> Dataset:
    fields = {
        "name": "squares", "resolution": (64, 64), "game_rate": 15.0, "frame_skip": 1, "licence": "CC0", "recipe": {"game": "squares"},
        "action_names": ("left", "right")[:actions], "frames": {"train": sum(map(len, train)), "held_out": sum(map(len, held_out))},
    }  # fmt: skip
    writer = DatasetWriter(path, DatasetInfo.model_validate({**fields, **changes}))
    for split, episodes, level in (("train", train, 0), ("held_out", held_out, 100)):
        for number, frames in enumerate(episodes):
            writer.add(split, frames, (np.arange(len(frames)) % 2).astype(np.uint8), np.zeros(len(frames), np.float32), level + number)
    writer.close()
    return Dataset(path)


def wrong(dataset: Dataset) -> str:
    return " ".join(problems(make_card(dataset, find_leaks(dataset))))


def test_a_sound_dataset_has_nothing_wrong_and_a_card_with_its_figures(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path / "d", [walk(n) for n in range(4)], [walk(9)])
    assert wrong(dataset) == ""
    card = write_card(dataset)
    assert card == read_card(tmp_path / "d")
    train = card.splits["train"]
    frames = np.asarray(dataset.split("train").frames[:])
    assert (train.frames, train.episodes, train.levels, train.shortest, train.longest) == (240, 4, 4, 60, 60)
    assert train.action_share == {"left": 0.5, "right": 0.5}
    assert train.action_entropy == 1.0
    assert abs(train.brightness - frames.mean()) < 0.01
    assert abs(train.contrast - frames.std()) < 0.01
    episodes = frames.reshape(4, 60, 64, 64, 3).astype(int)
    assert abs(train.motion - np.abs(np.diff(episodes, axis=1)).mean()) < 0.5
    text = (tmp_path / "d" / CARD_TEXT).read_text()
    for part in ("**Licence:** CC0", "| right | 50.0% | 50.0% |", "not looked for yet"):
        assert part in text


def test_only_of_data_that_genie_recorded_is_it_known_that_no_person_played(tmp_path: Path) -> None:
    recipes = ({"game": "squares", "policy": "sticky mixed"}, {"game": "squares", "policy": "human"}, {"source": "demonstrations"})
    for number, consent in enumerate(("not needed: no people played", "unknown", "unknown")):
        assert make_card(dataset_of(tmp_path / str(number), [walk(0)], [walk(9)], recipe=recipes[number])).consent == consent


def test_held_out_footage_that_was_trained_on_is_found(tmp_path: Path) -> None:
    noisy = np.clip(walk(2).astype(int) + np.random.default_rng(0).integers(-9, 10, walk(2).shape), 0, 255).astype(np.uint8)
    dataset = dataset_of(tmp_path / "d", [walk(n) for n in range(4)], [walk(9), noisy])
    assert "held-out stretches are in the training split" in wrong(dataset)


def test_a_level_in_both_splits_is_found(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path / "d", [walk(0), walk(1)], [walk(9)])
    dataset.split("held_out").level_seeds[0] = 1
    assert "1 levels, videos or scenes are in both splits" in wrong(dataset)


def test_an_episode_that_hides_a_cut_is_found(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path / "d", [np.concatenate([walk(0), walk(1)]), walk(2)], [walk(9)])
    assert "1 cuts lie inside episodes" in wrong(dataset)


def test_what_is_for_research_only_makes_weights_that_are() -> None:
    for free in ("MIT (procgen)", "BSD-3-Clause", "CC BY 4.0", "CC0", "played in the world coinrun (weights: Apache-2.0; trained on: MIT)"):
        assert licence_of_weights([free]) == "Apache-2.0", free
    for only in (
        "Research only: the ROM is its owner's",
        "research-only",
        "played in the world pong (weights: research only; trained on: …)",
    ):
        assert licence_of_weights(["MIT", only]) == "research only", only
    for bound in ("unknown", "CC BY-NC 4.0", "CC BY-SA 4.0", "all rights reserved", "Limited"):
        assert licence_of_weights(["MIT", bound]) == f"as its data ({bound})", bound


def test_an_action_nobody_took_and_an_unknown_licence_are_found(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path / "d", [walk(0)], [walk(9)], action_names=("left", "right", "jump"), licence="unknown")
    found = wrong(dataset)
    assert "nobody ever took jump" in found
    assert "licence unknown" in found
    assert licence_known("MIT")
    assert not licence_known(" Unknown ")


def test_the_check_command_says_what_is_wrong_and_fails(tmp_path: Path) -> None:
    dataset_of(tmp_path / "d", [walk(0), walk(1)], [walk(9)], licence="unknown")
    command = [sys.executable, "-m", "genie.cli.app"]
    done = subprocess.run([*command, "dataset", "check", str(tmp_path / "d")], capture_output=True, text=True, timeout=280)
    assert done.returncode == 1
    assert "licence unknown" in done.stdout
    assert json.loads((tmp_path / "d" / CARD_FILE).read_text())["leaks"]["copied"] == 0
    done = subprocess.run(
        [*command, "train", str(tmp_path / "d"), "--out", str(tmp_path / "run")], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 2
    assert "--allow-unknown-licence" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_world_carries_the_card_of_its_data(smoke_run: Path, coinrun: genie.World) -> None:
    card = genie.load_world(smoke_run / "world").data_card
    assert card is not None
    assert card.name == "coinrun"
    assert "MIT" in card.licence
    assert card.splits["train"].frames == 2000
    assert "## Data: coinrun" in (smoke_run / "world" / "README.md").read_text()
    if "data-card.json" not in coinrun.manifest.files:
        assert coinrun.data_card is None  # the shipped world was made before there were cards, and plays on


def test_a_damaged_card_is_refused() -> None:
    for text in ("{", "[]", '{"name": "x"}', "[" * 100_000):
        with pytest.raises(DatasetError, match="not a dataset's card"):
            parse_card(text, "card.json")
