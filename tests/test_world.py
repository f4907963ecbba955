"""The public API of a world, on the shipped one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import genie
from genie.world import Prompt


def test_the_world_says_what_it_is(coinrun: genie.World) -> None:
    assert coinrun.name == "coinrun"
    assert (coinrun.frame_rate, coinrun.frame_skip, coinrun.resolution) == (15.0, 2, (64, 64))
    kinds = [action.kind for action in coinrun.actions]
    assert kinds == ["latent"] * 8 + ["recorded"] * 6
    assert [action.name for action in coinrun.actions[:8]] == [f"action {i}" for i in range(8)]
    assert {action.name for action in coinrun.actions[8:]} == {"noop", "left", "right", "jump", "left+jump", "right+jump"}
    assert len(coinrun.prompts) >= 8
    assert all(prompt.frames.shape[1:] == (64, 64, 3) and prompt.frames.dtype == np.uint8 for prompt in coinrun.prompts)


def test_held_keys_choose_the_longest_matching_action(coinrun: genie.World) -> None:
    name = lambda *held: coinrun.action_table.for_keys(frozenset(held)).name  # noqa: E731
    assert name() == "noop"
    assert name("right") == "right"
    assert name("right", "jump") == "right+jump"
    assert name("3") == "action 2"


def test_a_round_trip_keeps_the_picture(coinrun: genie.World) -> None:
    frames = coinrun.prompts[0].frames
    tokens = coinrun.encode(frames)
    assert tokens.shape == (len(frames) - 1, 17, coinrun.manifest.tokenizer.codes)
    assert np.array_equal(coinrun.reconstruct(frames)[0], frames[0])
    error = np.square(coinrun.reconstruct(frames).astype(float) - frames).mean()
    assert 10 * np.log10(255**2 / error) > 30
    first = coinrun.decode(frames[0], tokens[:1])
    assert np.array_equal(first[0], coinrun.reconstruct(frames[:2])[1])


def test_arrays_of_any_layout_are_taken(coinrun: genie.World) -> None:
    frames = coinrun.prompts[0].frames
    assert np.array_equal(coinrun.encode(frames[::-1]), coinrun.encode(frames[::-1].copy()))
    assert np.array_equal(coinrun.reconstruct(frames[:1]), frames[:1])
    batch = coinrun.start_batch(np.stack([frames, frames]), np.array([1, 2]))
    assert batch.step(["right", "left"]).shape == (2, 64, 64, 3)


def test_actions_are_inferred_between_neighbours(coinrun: genie.World) -> None:
    frames = coinrun.prompts[1].frames
    actions = coinrun.infer_actions(frames)
    assert actions.shape == (len(frames) - 1,)
    assert ((actions >= 0) & (actions < 8)).all()


def test_a_prompt_is_shown_as_it_is(coinrun: genie.World, tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert np.array_equal(coinrun.start(picture).frame, picture)
    Image.fromarray(picture).save(tmp_path / "p.png")
    assert np.array_equal(coinrun.start(tmp_path / "p.png").frame, picture)
    prompt = coinrun.prompts[3]
    assert np.array_equal(coinrun.start(prompt.name).frame, prompt.frames[-1])
    assert np.array_equal(coinrun.start(prompt).frame, prompt.frames[-1])
    assert np.array_equal(coinrun.start().frame, coinrun.prompts[0].frames[-1])


def test_wrong_input_says_what_is_needed(coinrun: genie.World, tmp_path: Path) -> None:
    with pytest.raises(genie.GenieError, match="frames must be uint8"):
        coinrun.start(Prompt("another world's", np.zeros((4, 96, 64, 3), np.uint8)))
    with pytest.raises(genie.GenieError, match=r"uint8 \[T, 64, 64, 3\]"):
        coinrun.start(np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(genie.GenieError, match="float"):
        coinrun.encode(np.zeros((3, 64, 64, 3)))
    with pytest.raises(genie.GenieError, match="2 or more"):
        coinrun.encode(np.zeros((1, 64, 64, 3), np.uint8))
    with pytest.raises(genie.GenieError, match="level-00"):
        coinrun.start("no-such-prompt")
    Image.new("RGB", (10, 10)).save(tmp_path / "small.png")
    with pytest.raises(genie.GenieError, match="64×64"):
        coinrun.start(tmp_path / "small.png")
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(genie.GenieError, match="cannot be read"):
        coinrun.start(tmp_path / "text.png")
    with pytest.raises(genie.GenieError, match="tokens must"):
        coinrun.decode(coinrun.prompts[0].frames[0], np.zeros((1, 3), int))
    with pytest.raises(genie.GenieError, match="from 0 to 999"):
        coinrun.decode(coinrun.prompts[0].frames[0], np.full((1, 17, coinrun.manifest.tokenizer.codes), 1000))
    with pytest.raises(genie.GenieError, match="frames must be uint8"):
        coinrun.decode(coinrun.prompts[0].frames, np.zeros((1, 17, coinrun.manifest.tokenizer.codes), int), {0: np.zeros((8, 8, 3))})
    with pytest.raises(genie.GenieError, match="seeds"):
        coinrun.start_batch([None, None], [1])


def test_an_unknown_world_device_or_backend_is_named() -> None:
    with pytest.raises(genie.WorldFormatError, match=r"installed are .*coinrun"):
        genie.load_world("atlantis")
    with pytest.raises(genie.GenieError, match="backend 'tpu'"):
        genie.load_world("coinrun", backend="tpu")
    for device in ("abacus", "cuda:1"):
        with pytest.raises(genie.GenieError, match=f"device '{device}' is unknown"):
            genie.load_world("coinrun", device=device)


def test_the_shipped_bundle_is_small_and_carries_its_card(coinrun: genie.World) -> None:
    size = sum(file.stat().st_size for file in coinrun.path.rglob("*") if file.is_file())
    assert size <= 40 * 2**20
    card = (coinrun.path / "README.md").read_text()
    for part in ("Data", "licence", "minutes", "held-out", "Limits"):
        assert part in card
