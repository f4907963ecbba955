"""Rollouts of the shipped world: deterministic, restorable to the bit, editable, and obedient to the given actions."""

from __future__ import annotations

import numpy as np
import pytest

import genie

SCRIPT = ["right"] * 6 + ["right+jump"] * 4 + ["left"] * 5 + ["noop"] * 3


def play(rollout: genie.Rollout, script: list[str]) -> np.ndarray:
    return np.array([rollout.step(action) for action in script])


def test_the_same_prompt_seed_and_actions_give_the_same_frames(coinrun: genie.World) -> None:
    assert np.array_equal(play(coinrun.start(seed=3), SCRIPT), play(coinrun.start(seed=3), SCRIPT))


def test_another_seed_salt_or_action_gives_other_frames(coinrun: genie.World) -> None:
    base = play(coinrun.start(seed=3), SCRIPT)
    assert not np.array_equal(base, play(coinrun.start(seed=4), SCRIPT))
    assert not np.array_equal(base, play(coinrun.start(seed=3), SCRIPT[::-1]))
    salted = coinrun.start(seed=3)
    play(salted, SCRIPT[:5])
    salted.salt = 1
    rerolled = play(salted, SCRIPT[5:])
    assert not np.array_equal(base[5:], rerolled)


@pytest.mark.parametrize("before", [0, 1, 7, 20])
def test_restoring_a_snapshot_equals_never_having_stopped(coinrun: genie.World, before: int) -> None:
    script = (SCRIPT * 3)[: before + 15]
    rollout = coinrun.start(seed=5)
    play(rollout, script[:before])
    snapshot = rollout.snapshot()
    straight = play(rollout, script[before:])
    tokens = rollout.tokens.copy()
    play(rollout, ["left"] * 3)  # wander off
    for _ in range(2):  # a snapshot can be used again
        rollout.restore(snapshot)
        assert rollout.index == before
        assert np.array_equal(play(rollout, script[before:]), straight)
        assert np.array_equal(rollout.tokens, tokens)


def test_frames_are_bytes_of_the_worlds_size_and_tokens_make_them(coinrun: genie.World) -> None:
    rollout = coinrun.start()
    before = rollout.frame.copy()
    frame = rollout.step("right")
    assert frame.dtype == np.uint8
    assert frame.shape == (64, 64, 3)
    assert rollout.index == 1
    assert np.array_equal(coinrun.decode(before, rollout.tokens[None])[0], frame)


def test_drawing_on_a_frame_does_not_change_the_world(coinrun: genie.World) -> None:
    marked, plain = coinrun.start(seed=6), coinrun.start(seed=6)
    for action in SCRIPT[:4]:
        marked.step(action)[...] = 0
        marked.frame[...] = 255
        plain.step(action)
    assert np.array_equal(marked.step("right"), plain.step("right"))


def test_a_snapshot_restores_seed_and_sampling_in_another_rollout(coinrun: genie.World) -> None:
    first, second = coinrun.start(seed=3), coinrun.start(seed=4, passes=1)
    play(first, SCRIPT[:3])
    second.restore(first.snapshot())
    assert np.array_equal(play(first, SCRIPT[3:9]), play(second, SCRIPT[3:9]))


def test_a_snapshot_of_another_back_end_is_refused(coinrun: genie.World) -> None:
    other = genie.load_world("coinrun", device="cpu", backend="torch")
    with pytest.raises(genie.GenieError, match="taken on the back end torch"):
        coinrun.start().restore(other.start().snapshot())


def test_actions_by_object_name_and_id_are_the_same(coinrun: genie.World) -> None:
    right = next(action for action in coinrun.actions if action.name == "right")
    frames = [coinrun.start(seed=1).step(how) for how in (right, "right", right.id)]
    assert np.array_equal(frames[0], frames[1])
    assert np.array_equal(frames[0], frames[2])


def test_an_unknown_action_names_the_known_ones(coinrun: genie.World) -> None:
    with pytest.raises(genie.ActionError, match=r"'fly'.*right\+jump"):
        coinrun.start().step("fly")
    for wrong in (99, -1, 1.7, None, coinrun.actions[0].model_copy(update={"name": "another world's"})):
        with pytest.raises(genie.ActionError, match="has no action"):
            coinrun.start().step(wrong)


def test_a_batch_follows_each_rollout_alone(coinrun: genie.World) -> None:
    """Rows of a batch may round differently in the last bit; the frames agree all the same, at least at first.

    Batches run in fp32, so they agree less with a lone rollout in int8.
    """
    near = 4.0 if "int8" in coinrun.backend else 1.0
    prompts, seeds = [prompt.frames for prompt in coinrun.prompts[:3]], [1, 2, 3]
    batch = coinrun.start_batch(prompts, seeds)
    together = np.stack([batch.step(["right", "left", "noop"]) for _ in range(3)], axis=1)
    for row, action in enumerate(("right", "left", "noop")):
        alone = play(coinrun.start(prompts[row], seeds[row]), [action] * 3)
        assert np.abs(together[row].astype(int) - alone.astype(int)).mean() < near


def test_an_edit_is_the_next_context(coinrun: genie.World) -> None:
    rollout = coinrun.start(seed=2)
    play(rollout, SCRIPT[:8])
    untouched = rollout.snapshot()
    same = rollout.frame.copy()
    rollout.edit(same, stick=3)  # editing nothing keeps the picture
    assert np.array_equal(rollout.frame, same)
    rollout.restore(untouched)
    edited = coinrun.prompts[5].frames[-1]
    rollout.edit(edited, stick=4)
    assert np.array_equal(rollout.frame, edited)
    distance = lambda frame, other: np.abs(frame.astype(int) - other).mean()  # noqa: E731
    for _ in range(3):
        after = rollout.step("noop")
    assert distance(after, edited) < 0.5 * distance(after, same)
    rollout.restore(untouched)
    for _ in range(3):
        before = rollout.step("noop")
    assert distance(before, same) < distance(before, edited)


@pytest.mark.parametrize("stick", [1, 2, 5, 40])
def test_any_stick_keeps_the_rollout_going(coinrun: genie.World, stick: int) -> None:
    for steps in (0, 1, 9):
        rollout = coinrun.start(seed=2)
        play(rollout, SCRIPT[:steps])
        rollout.edit(255 - rollout.frame, stick=stick)
        assert rollout.step("right").shape == (64, 64, 3)
        assert rollout.index == steps + 1


def test_an_edit_was_where_the_picture_had_it_before(coinrun: genie.World) -> None:
    batch = coinrun.start_batch([coinrun.prompts[3].frames], seeds=[1])
    for _ in range(8):
        batch.step(["right"])
    scroll = coinrun.engine.codec.motion(batch.tokens)[0]
    assert scroll.any()
    before = [step.frame.copy() for step in batch.history]
    edited = batch.frames.copy()
    edited[:, 20:26, 30:36] = (255, 0, 255)
    batch.edit(edited, stick=2)
    assert np.array_equal(batch.frames, edited)
    was = batch.history[-2].frame[0]
    down, right = scroll
    assert (was[20 - down : 26 - down, 30 - right : 36 - right] == (255, 0, 255)).all()
    assert (was != before[-2][0]).any(-1).sum() == 36
    assert all(np.array_equal(step.frame, old) for step, old in zip(batch.history[:-2], before[:-2], strict=True))
    told = coinrun.engine.codec.describe(batch.history[-3].frame, batch.history[-2].frame)
    assert np.array_equal(batch.history[-2].codes, told)


def test_a_wrong_edit_is_refused(coinrun: genie.World) -> None:
    rollout = coinrun.start()
    with pytest.raises(genie.GenieError, match="edited frame must be uint8"):
        rollout.edit(np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(genie.GenieError, match="stick"):
        rollout.edit(rollout.frame, stick=0)


def test_sampling_can_be_overridden_and_is_checked(coinrun: genie.World) -> None:
    one = play(coinrun.start(seed=1, passes=1), SCRIPT[:4])
    four = play(coinrun.start(seed=1, passes=4), SCRIPT[:4])
    assert not np.array_equal(one, four)
    with pytest.raises(genie.GenieError, match="passes"):
        coinrun.start(passes=0)
