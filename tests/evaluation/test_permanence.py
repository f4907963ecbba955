"""Is the figure there, once; do things stay: on painted frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genie.data.clips import ClipSampler
from genie.data.store import Dataset, DatasetWriter
from genie.evaluation import permanence as p
from genie.evaluation.staying_power import Rollouts

BEIGE, ORANGE = (230, 210, 160), (200, 120, 50)


def scene(agents: list[tuple[int, int]], crates: list[tuple[int, int]] = ()) -> np.ndarray:  # type: ignore[assignment]
    frame = np.full((64, 64, 3), (40, 60, 90), np.uint8)
    for y, x in agents:
        frame[y : y + 5, x : x + 4] = BEIGE
    for y, x in crates:
        frame[y : y + 6, x : x + 6] = ORANGE
    return frame


def test_the_agent_is_there_missing_or_twice() -> None:
    frames = np.stack([scene([(30, 32)]), scene([]), scene([(30, 32), (10, 5)])])
    agents = p.by_colour(frames, ("agent",))["agent"]
    assert p.agent_there(agents).tolist() == [True, False, True]
    assert p.second_agent(agents).tolist() == [False, False, True]


def test_a_crate_is_a_solid_patch_not_an_edge() -> None:
    edge = scene([])
    edge[40] = ORANGE
    found = p.crates(np.stack([scene([], [(20, 20)]), scene([]), edge]))
    assert found.sum(axis=(-1, -2)).tolist() == [36, 0, 0]
    assert found[0, 20:26, 20:26].all()


def test_a_coin_is_yellow_where_crates_and_agents_are_not() -> None:
    frame = scene([(30, 32)], [(20, 20)])
    frame[50:53, 10:13] = (227, 182, 2)
    assert p.coins(frame).sum() == 9 and p.coins(frame)[50:53, 10:13].all()
    assert not p.crates(frame)[50:53, 10:13].any()


def test_box_sums_equal_a_plain_count() -> None:
    pixels = np.random.default_rng(0).random((2, 9, 11)) < 0.4
    plain = np.lib.stride_tricks.sliding_window_view(pixels, (3, 4), axis=(1, 2)).sum(axis=(-1, -2))
    assert np.array_equal(p._box_sums(pixels, (3, 4)), plain)


def test_a_thing_is_in_place_where_the_real_game_has_it_or_almost() -> None:
    truth = p.crates(np.stack([scene([], [(20, 20)])] * 5 + [scene([])]))
    made = p.crates(
        np.stack(
            [scene([], [(20, 20)]), scene([], [(22, 18)]), scene([], [(20, 40)]), scene([]), scene([], [(26, 20)]), scene([], [(20, 20)])]
        )
    )
    found = p.in_place(truth, made, np.ones_like(truth))
    assert found[:2].tolist() == [1.0, 1.0]  # two pixels off
    assert found[2:4].tolist() == [0.0, 0.0]  # elsewhere; gone
    assert 0 < found[4] < 0.5  # six pixels off: one edge is near the other
    assert np.isnan(found[5])  # the real game shows none


def test_what_the_prompt_did_not_show_is_not_asked_for() -> None:
    truth = p.crates(scene([], [(20, 20), (40, 40)]))[None]
    made = p.crates(scene([], [(20, 20)]))[None]
    seen = np.ones_like(truth)
    assert p.in_place(truth, made, seen) == 0.5
    seen[:, 40:] = False
    assert p.in_place(truth, made, seen) == 1.0
    assert np.isnan(p.in_place(truth, made, np.zeros_like(seen)))


def test_permanence_of_perfect_and_forgetful_rollouts() -> None:
    shown, empty = scene([(30, 32)], [(20, 10)]), scene([(30, 32)])
    truth = np.broadcast_to(shown, (3, 6, 64, 64, 3))
    forgetful = np.broadcast_to(empty, (3, 4, 64, 64, 3))
    long = np.broadcast_to(scene([(30, 32), (10, 5)]), (3, 64, 64, 64, 3))
    section = p.permanence_section(
        p.PROBES["coinrun"],
        Rollouts(long, np.arange(3), long[:0], np.arange(0)),
        truth[:, 0],
        np.arange(3),
        {"truth": truth, "world": forgetful, "tokenizer": truth[:, 2:]},
        {"truth": np.zeros((3, 5, 2), int), "world": np.zeros((3, 4, 2), int)},
        2,
        (1, 4),
        np.arange(3),
    )
    found = {metric.name: metric for metric in section.metrics}
    assert found["agent_there"].world.value == 1.0 and found["agent_alone"].world.value == 0.0
    assert found["agent_alone"].real.value == 1.0  # type: ignore[union-attr]
    assert found["crate_kept_4"].world.value == 0.0
    assert "3 clips" in found["crate_kept_4"].note and "round trip: 100%" in found["crate_kept_4"].note


def test_the_figure_is_looked_for_in_all_rollouts_as_far_as_they_go() -> None:
    there, gone = (np.broadcast_to(scene(agents), (2, 300, 64, 64, 3)) for agents in ([(30, 32)], []))
    clip = there[:, :3]
    scrolls = {"truth": np.zeros((2, 2, 2), int), "world": np.zeros((2, 2, 2), int)}
    clips = {"truth": clip, "world": clip[:, 1:]}
    rollouts = Rollouts(there, np.arange(len(there)), gone[:, :256], np.arange(len(gone)))
    section = p.permanence_section(p.PROBES["coinrun"], rollouts, clip[:, 0], np.arange(2), clips, scrolls, 1, (1,), np.arange(2))
    found = {metric.name: metric.world.value for metric in section.metrics}
    assert found["agent_there"] == 1.0 and found["agent_there_256"] == 0.5 and found["agent_alone_256"] == 0.5


def test_a_probe_that_does_not_know_the_real_figures_is_useless() -> None:
    strangers = np.broadcast_to(scene([]), (4, 64, 64, 3))
    clip = np.broadcast_to(scene([]), (2, 4, 64, 64, 3))
    section = p.permanence_section(
        p.PROBES["coinrun"],
        Rollouts(clip, np.arange(2), clip[:0], np.arange(0)),
        strangers,
        np.arange(4),
        {"truth": clip, "world": clip[:, 1:]},
        {"truth": np.zeros((2, 3, 2), int), "world": np.zeros((2, 3, 2), int)},
        1,
        (1,),
        np.arange(2),
    )
    found = {metric.name: metric for metric in section.metrics}
    assert all(metric.useless and "does not fit" in metric.note for metric in section.metrics)  # of things too
    assert found["crate_kept_1"].world.value is None  # no crate to keep


def test_the_probe_knows_the_real_game(dataset: Dataset) -> None:
    agents = p.by_colour(dataset.split("held_out").frames[::7], ("agent",))["agent"]
    assert p.agent_there(agents).mean() > 0.97
    assert p.second_agent(agents).mean() < 0.03


def test_a_thing_stays_that_is_where_the_picture_has_scrolled_it_to_wherever_that_is() -> None:
    prompt, steps = p.crates(scene([], [(20, 30)]))[None].repeat(3, 0), 3
    walked = np.tile([0, -4], (3, steps, 1))  # the picture moves left, four columns a frame
    moves = np.stack([p.crates(scene([], [(20, 30 - 4 * (step + 1))])) for step in range(steps)])[None].repeat(3, 0)
    stands = prompt[:, None].repeat(steps, 1)
    found = {}
    for name, shown in {"obeys": moves, "stands": stands}.items():
        metrics = p.stays("crate", prompt, {"world": shown, "truth": moves}, {"world": walked, "truth": walked}, (1, 3), np.arange(3), 0)
        found[name] = [metric.world.value for metric in metrics]
        assert [metric.real.value for metric in metrics] == [1.0, 1.0]  # type: ignore[union-attr]
    assert found["obeys"] == [1.0, 1.0] and found["stands"] == [1.0, 0.0]  # four columns are not yet half a crate off
    away = p.stays("crate", prompt, {"world": moves, "truth": moves}, {"world": 8 * walked, "truth": walked}, (3,), np.arange(3), 0)
    assert away[0].world.value is None  # out of view


def test_what_is_carried_out_of_view_does_not_return() -> None:
    pixels = np.zeros((1, 4, 6), bool)
    pixels[0, 1, 1] = pixels[0, 1, 4] = True
    there = p.carried(pixels, np.array([[[0, -2], [0, 2], [1, 1]]]))
    assert [frame.nonzero() for frame in there[0]] == [([1], [2]), ([1], [4]), ([2], [5])]


def test_clips_are_chosen_that_move_and_show_a_thing_from_the_prompt_to_the_end(dataset: Dataset, tmp_path: Path) -> None:
    steps, crate_until = 40, {0: 40, 1: 0, 2: 40, 3: 20}  # frames of each episode, and how many of them show the crate
    moves = {0: True, 1: True, 2: False, 3: True}
    writer = DatasetWriter(tmp_path / "painted", dataset.info.model_copy(update={"frames": {"train": 2, "held_out": 160}}))
    for episode, until in crate_until.items():
        frames = np.stack([scene([(30, 32)], [(20, 10)] if step < until else []) for step in range(steps)])
        if moves[episode]:
            frames[::2, 50:] += 30  # a sixth of the picture flickers
        writer.add("held_out", frames, np.zeros(steps, np.uint8), np.zeros(steps, np.float32), episode)
    writer.add("train", frames[:2], np.zeros(2, np.uint8), np.zeros(2, np.float32), 9)
    writer.close()
    held_out = Dataset(tmp_path / "painted").split("held_out")
    sampler, probe = ClipSampler(held_out, 12, 1, seed=0), p.PROBES["coinrun"]
    starts = p.starts_with_things(probe, sampler, 100)
    assert starts.tolist() == [*range(0, 29), *range(120, 129)]  # all of the first; of the last those that end before its crate goes
    few = p.starts_with_things(probe, sampler, 4)
    assert len(few) == 4 and set(few) <= set(starts) and few[0] < 29 and few[-1] >= 120
    still = ClipSampler(Dataset(tmp_path / "painted").split("held_out"), 40, 1, seed=0)
    assert len(p.starts_with_things(p.Probe((64, 64), p.by_colour, ("coin",)), still, 4)) == 0
