"""Rollouts of the shipped world: deterministic, restorable to the bit, editable, and obedient to the given actions."""

from __future__ import annotations

import numpy as np
import pytest

import genie
from genie.metrics import still_painted
from genie.runtime.rollout import Held

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
    before, drawn = rollout.snapshot().history[-2].frame[0], rollout.tokens
    rollout.edit(edited, stick=1)
    assert np.array_equal(rollout.frame, edited)
    painted = [coinrun.decode(before, tokens[None])[0] for tokens in (drawn, rollout.tokens)]
    assert np.abs(painted[1].astype(int) - edited).mean() < np.abs(painted[0].astype(int) - edited).mean()  # its codes say so
    rollout.restore(untouched)
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


def test_an_edit_was_where_the_picture_had_it_before(coinrun_easy: genie.World) -> None:
    batch = coinrun_easy.start_batch([coinrun_easy.prompts[3].frames], seeds=[1])
    for _ in range(8):
        batch.step(["right"])
    scroll = coinrun_easy.engine.codec.motion(batch.tokens)[0]
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
    told = coinrun_easy.engine.codec.describe(coinrun_easy.engine.codec.shown(batch.history[-3].frame), batch.history[-2].frame)
    assert np.array_equal(batch.history[-2].codes, told)


def held_at(offset: tuple[int, int] = (0, 0)) -> Held:
    """A light square painted on dark ground."""
    before = np.full((1, 16, 16, 3), (10, 20, 40), np.uint8)
    painted = before.copy()
    painted[:, 4:8, 4:8] = (190, 200, 200)
    return Held.of(painted, before).scrolled(np.array([offset]))


def test_of_paint_that_is_held_in_part_the_rest_may_go() -> None:
    whole, part = held_at(), np.zeros((16, 16), np.bool_)
    part[4:6] = True
    back = Held.of(whole.painted, whole.before, part).put_back(whole.before)
    assert np.argwhere((back != whole.before).any(-1)[0]).tolist() == [[row, column] for row in (4, 5) for column in range(4, 8)]


def test_held_paint_comes_back_where_it_fades_and_leaves_what_stands_before_it() -> None:
    held = held_at()
    for left in (0.0, 0.3, 0.8):  # of the paint
        shown = (held.before + left * (held.painted.astype(float) - held.before)).astype(np.uint8)
        shown[0, 5, 5] = (240, 120, 20)  # a figure in front of it
        shown[0, 12, 12] = 99  # nobody painted there
        made = held.put_back(shown)
        assert (made[0, 5, 5] == (240, 120, 20)).all() and (made[0, 12, 12] == 99).all()
        made[0, 5, 5], made[0, 12, 12] = held.painted[0, 5, 5], held.painted[0, 12, 12]
        assert np.array_equal(made, held.painted)
    nearly = np.clip(held.painted.astype(int) + 9, 0, 255).astype(np.uint8)
    assert np.array_equal(held.put_back(nearly), nearly)  # as good as the tokenizer can: left alone


def test_held_paint_scrolls_and_what_is_painted_over_it_is_not_fought() -> None:
    held = held_at((3, -2))
    bare = held.before
    assert (held.put_back(bare) != bare).any(-1)[0].nonzero()[0].min() == 7
    assert (held.put_back(bare) != bare).any(-1)[0].nonzero()[1].min() == 2
    over = np.zeros((1, 16, 16, 1), bool)
    over[:, 7:9] = True  # the upper half of it, where it is now
    rest = (held.without(over).put_back(bare) != bare).any(-1)[0].nonzero()
    assert (rest[0].min(), rest[0].max()) == (9, 10)
    assert np.array_equal(held_at((0, -30)).put_back(bare), bare)  # out of the view


def test_what_is_held_stays_where_it_would_go_and_snapshots_hold_it_too(coinrun_easy: genie.World) -> None:
    rollout = coinrun_easy.start("level-03", seed=3)
    for _ in range(12):
        rollout.step("noop")
    here, before = rollout.snapshot(), rollout.frame
    painted, box = with_a_wall(before)
    left, codec = {}, coinrun_easy.engine.codec
    for hold in (False, True):
        rollout.restore(here)
        assert not rollout.held
        rollout.edit(painted, hold=hold)
        made = play(rollout, ["noop"] * 12)
        left[hold] = still_painted(made[-1], painted, before)[box].mean()
    assert left[True] > 0.8 and left[False] < 0.2
    assert np.array_equal(rollout.frame, codec.paint(codec.shown(made[-2][None]), rollout.tokens[None])[0])  # its codes say so
    again = rollout.snapshot()
    first = play(rollout, ["right", "noop", "noop"])
    rollout.restore(again)
    assert np.array_equal(play(rollout, ["right", "noop", "noop"]), first)


def with_a_wall(frame: np.ndarray) -> tuple[np.ndarray, tuple[slice, slice]]:
    """The frame with a block of its own ground put on the ground beside the middle, where the sky was, and where that is."""
    light, (height, width) = frame.astype(int).sum(-1), (12, 8)
    for left in (*range(40, 54), *range(16, 2, -1)):
        for top in range(8, 50):
            box = slice(top, top + height), slice(left, left + width)
            if light[box].max() < 250 and light[top + height, box[1]].min() > 300:
                painted = frame.copy()
                painted[box] = frame[-height:, :width]
                return painted, box
    raise AssertionError("no ground")


def test_a_wrong_edit_is_refused(coinrun: genie.World) -> None:
    rollout = coinrun.start()
    with pytest.raises(genie.GenieError, match="edited frame must be uint8"):
        rollout.edit(np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(genie.GenieError, match="stick"):
        rollout.edit(rollout.frame, stick=0)
    with pytest.raises(genie.GenieError, match="what is held must be bool"):
        rollout.edit(rollout.frame, hold=np.ones((8, 8), np.bool_))


def test_sampling_can_be_overridden_and_is_checked(coinrun: genie.World) -> None:
    one = play(coinrun.start(seed=1, passes=1), SCRIPT[:4])
    four = play(coinrun.start(seed=1, passes=4), SCRIPT[:4])
    assert not np.array_equal(one, four)
    with pytest.raises(genie.GenieError, match="passes"):
        coinrun.start(passes=0)


def test_the_caller_may_draw_on_what_it_gave(coinrun: genie.World) -> None:
    prompt = coinrun.prompts[0].frames.copy()
    rollout, other = coinrun.start(prompt, seed=1), coinrun.start(prompt.copy(), seed=1)
    painted = rollout.frame
    painted[:8] = 90
    rollout.edit(painted)
    other.edit(painted.copy())
    prompt[:], painted[:] = 0, 0
    assert np.array_equal(rollout.frame, other.frame)
    assert all(np.array_equal(rollout.step("right"), other.step("right")) for _ in range(4))
