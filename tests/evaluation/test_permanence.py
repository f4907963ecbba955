"""Is the figure there, once; do things stay: on painted frames."""

from __future__ import annotations

import numpy as np

from genie.data.store import Dataset
from genie.evaluation import permanence as p

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
        long,
        truth[:, 0],
        np.arange(3),
        {"truth": truth, "world": forgetful, "tokenizer": truth[:, 2:]},
        np.ones((3, 4, 64, 64), bool),
        2,
        (1, 4),
        np.arange(3),
    )
    found = {metric.name: metric for metric in section.metrics}
    assert found["agent_there"].world.value == 1.0 and found["agent_alone"].world.value == 0.0
    assert found["agent_alone"].real.value == 1.0  # type: ignore[union-attr]
    assert found["crate_kept_4"].world.value == 0.0
    assert "3 clips" in found["crate_kept_4"].note and "round trip: 100%" in found["crate_kept_4"].note


def test_a_probe_that_does_not_know_the_real_figures_is_useless() -> None:
    strangers = np.broadcast_to(scene([]), (4, 64, 64, 3))
    clip = np.broadcast_to(scene([]), (2, 4, 64, 64, 3))
    section = p.permanence_section(
        p.PROBES["coinrun"],
        clip,
        strangers,
        np.arange(4),
        {"truth": clip, "world": clip[:, 1:]},
        np.ones((2, 3, 64, 64), bool),
        1,
        (1,),
        np.arange(2),
    )
    found = {metric.name: metric for metric in section.metrics}
    assert found["agent_there"].useless and "does not fit" in found["agent_there"].note
    assert found["crate_kept_1"].world.value is None  # no crate to keep


def test_the_probe_knows_the_real_game(dataset: Dataset) -> None:
    agents = p.by_colour(dataset.split("held_out").frames[::7], ("agent",))["agent"]
    assert p.agent_there(agents).mean() > 0.97
    assert p.second_agent(agents).mean() < 0.03
