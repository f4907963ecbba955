"""Drift, collapse, revisits on constructed cases."""

from __future__ import annotations

import numpy as np
import pytest

from genie.evaluation import staying_power as s
from genie.metrics import outlines


def test_frechet_distance_of_known_gaussians() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(0, 1, (4000, 3))
    assert s.frechet(a, a) == pytest.approx(0, abs=1e-6)
    assert s.frechet(a, a + np.array([3.0, 0, 4.0])) == pytest.approx(25.0, rel=1e-6)  # a shift: the squared length of it
    assert s.frechet(a, rng.normal(0, 3, (4000, 3))) == pytest.approx(3 * (3 - 1) ** 2, rel=0.05)  # a widening: sum of (σ - σ')²
    assert s.frechet(a[:5], a[5:9]) >= 0  # fewer samples than dimensions are no trouble


def test_frechet_equals_the_formula_with_the_matrix_root() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(60, 4)) @ rng.normal(size=(4, 4)), rng.normal(size=(50, 4)) @ rng.normal(size=(4, 4)) + 1
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    roots = np.sqrt(np.maximum(np.linalg.eigvals(cov_a @ cov_b).real, 0)).sum()
    direct = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * roots
    assert s.frechet(a, b) == pytest.approx(direct, rel=1e-6)


def test_kernel_distance_is_zero_on_average_for_equal_sources_and_grows_with_a_shift() -> None:
    rng = np.random.default_rng(2)

    def between(shift: float) -> float:
        a, b = rng.normal(size=(200, 8)), rng.normal(size=(200, 8)) + shift
        return s.kernel_distance(s.kernel(a, a), s.kernel(b, b), s.kernel(a, b))

    same = np.mean([between(0.0) for _ in range(10)])
    assert abs(same) < 0.02
    assert same < between(0.5) < between(1.0)
    x = np.array([[2.0, 0.0], [0.0, 2.0]])
    assert s.kernel(x, x) == pytest.approx(np.array([[27.0, 1.0], [1.0, 27.0]]))  # (x·y / 2 + 1)³


def test_distances_have_intervals_over_rollouts_around_their_values() -> None:
    rng = np.random.default_rng(3)
    reference = rng.normal(size=(100, 6))
    found, rollouts = rng.normal(size=(40, 6)) + 1, np.repeat(np.arange(10), 4)
    for estimate in (far.estimate for far in s.distances(found, reference, rollouts, rollouts)):
        assert estimate.low is not None and estimate.value is not None and estimate.high is not None
        assert 0 < estimate.low < estimate.value < estimate.high
        assert estimate.episodes == 10


def test_frames_of_one_rollout_are_not_compared_with_each_other() -> None:
    rng = np.random.default_rng(4)
    reference, alone = rng.normal(size=(200, 8)), rng.normal(size=(20, 8))
    rollouts = np.repeat(np.arange(20), 4)
    alike = np.repeat(alone, 4, axis=0)  # four times the same frame: no nearer to each other than the game's own frames are
    _, kernel = s.distances(alike, reference, rollouts, rollouts)
    assert kernel.value == pytest.approx(s.distances(alone, reference, np.arange(20), np.arange(20))[1].value)
    assert np.isnan(s.distances(alike[:4], reference, rollouts[:4], rollouts[:4])[1].value)


def test_how_a_distance_grows_has_an_interval_of_the_same_draws() -> None:
    rng = np.random.default_rng(5)
    reference, found, rollouts = rng.normal(size=(100, 6)), rng.normal(size=(40, 6)) + 1, np.repeat(np.arange(10), 4)
    near, far = (s.distances(part, reference, rollouts, rollouts)[0] for part in (found, found + 1))
    growth = far.over(near).estimate
    assert growth.value == pytest.approx(far.value / near.value)
    assert growth.low is not None and growth.high is not None and 1 < growth.low < growth.high
    assert near.over(near).estimate.low == near.over(near).estimate.high == 1


def test_colour_entropy_of_one_of_four_and_of_random_colours() -> None:
    one = np.full((64, 64, 3), 7, np.uint8)
    four = one.copy()
    four[:32, :32], four[:32, 32:], four[32:, :32] = 60, 120, 200
    noise = np.random.default_rng(4).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    found = s.colour_entropy(np.stack([one, four, noise]))
    assert found[0] == 0.0 and found[1] == 2.0 and found[2] > 11


def test_token_entropy_of_constant_and_of_evenly_used_codes() -> None:
    constant = np.zeros((1, 8, 2, 3), np.int64)
    even = np.tile(np.arange(8).reshape(1, 8, 1, 1), (1, 1, 2, 3))
    assert s.token_entropy(np.concatenate([constant, even]), 8).tolist() == [0.0, 3.0]


def test_outlines_are_counted_and_a_faded_picture_has_none() -> None:
    frame = np.full((9, 9, 3), 100, np.uint8)
    frame[:, 4:] = 160
    faint = np.where(frame == 160, 120, frame).astype(np.uint8)
    assert outlines(np.stack([frame, faint])).tolist() == [pytest.approx(0.5 * 9 / 72), 0.0]  # one of eight steps across, none down


def test_nearest_is_the_distance_to_the_closest_real_frame() -> None:
    reference = np.array([[0.0, 0.0], [10.0, 0.0]])
    assert s.nearest(np.array([[0.0, 3.0], [9.0, 0.0]]), reference).tolist() == [3.0, 1.0]


def test_a_rollout_collapses_at_the_first_of_several_looks_in_a_row() -> None:
    outside = np.zeros((4, 10), bool)
    outside[1, 3:] = True  # from the fourth look on
    outside[2, ::2] = True  # now and then: never long enough
    outside[3, :] = True
    times = s.collapse_times(outside, every=16)
    assert times.tolist() == [np.inf, 64.0, np.inf, 16.0]
    far = np.full(4, 160)
    assert s.half_life(times, far) == 64  # by then two of the four have
    assert s.half_life(np.array([16.0, 32.0, np.inf]), far[:3]) == 32
    assert s.half_life(np.array([16.0, np.inf, np.inf]), far[:3]) == 160


def test_rollouts_that_were_followed_less_far_count_as_long_as_they_were() -> None:
    times, followed = np.array([16.0, np.inf, np.inf, 112.0, 144.0]), np.array([160, 64, 64, 160, 160])
    assert s.half_life(times, followed) == 112  # 4/5 are left after 16; then one of the two that are still followed goes
    assert s.half_life(times[:3], followed[:3]) == 160
    known = np.random.default_rng(0).exponential(100, 4000)
    followed = np.random.default_rng(1).uniform(20, 400, 4000)
    seen = np.where(known <= followed, known, np.inf)
    assert s.half_life(seen, followed) == pytest.approx(100 * np.log(2), rel=0.06)  # of an exponential law, however few were followed


def test_a_walk_that_returns_one_that_does_not_and_a_world_that_stands_still() -> None:
    land = np.random.default_rng(5).integers(0, 255, (2, 16, 60, 3), dtype=np.uint8)

    def at(places: list[int]) -> np.ndarray:
        return np.stack([land[:, :, 20 + x : 36 + x] for x in places], axis=1)

    start, out, slack = at([0])[:, 0], 4, s.RETURN_SLACK
    there_and_back = at([-1, -2, -3, -4, -3, -2, -1, 0] + [1] * slack)
    best, gain = s.returned(there_and_back, start, out)
    assert np.allclose(best, 58.92, atol=0.01) and (gain > 40).all()
    best, gain = s.returned(at([-k for k in range(1, 9)] + [-8] * slack), start, out)
    assert (best < 15).all() and (gain < 2).all()
    best, gain = s.returned(at([0] * (8 + slack)), start, out)
    assert np.allclose(best, 58.92, atol=0.01) and np.allclose(gain, 0)  # so the best alone would praise a frozen world


def test_only_walks_on_which_the_real_game_went_somewhere_are_judged() -> None:
    rng = np.random.default_rng(8)
    start = rng.integers(0, 255, (2, 16, 16, 3), dtype=np.uint8)
    walk = rng.integers(0, 255, (2, 8 + s.RETURN_SLACK, 16, 16, 3), dtype=np.uint8)
    walk[:, 7] = start  # back after four to the left and four to the right
    real = walk.copy()
    real[1] = start[1]  # a wall: the second clip never left
    section = s.revisit_section(start, {4: {"world": walk, "real": real, "blind": walk}}, np.arange(2))
    gain = next(metric for metric in section.metrics if metric.name == "revisit_gain_4")
    assert gain.real is not None and gain.real.value is not None and gain.real.value > 40
    assert gain.world.value == gain.real.value  # of the first clip alone


def from_start(frames: np.ndarray, episodes: np.ndarray | None = None) -> s.Rollouts:
    """Rollouts [B, T, …], each of an episode of its own where it is not said, and none that are shorter."""
    episodes = np.arange(len(frames)) if episodes is None else episodes
    return s.Rollouts(frames, episodes, frames[:0], episodes[:0])


def compared(reference: np.ndarray, control: np.ndarray, painted: np.ndarray) -> s.RealFrames:
    """Real frames and 64 painted ones, eight of an episode, and sixteen stretches."""
    episodes = np.repeat(np.arange(8), 8)
    return s.RealFrames(
        reference=reference, control=control, control_episodes=episodes, walked_episodes=np.arange(16),
        stirring=np.array([1.0, 0.5, 0.5, 0.0]), stirring_episodes=np.arange(4), painted=painted, painted_episodes=episodes,
    )  # fmt: skip


def test_drift_tells_rollouts_like_the_real_game_from_ones_that_turn_to_noise() -> None:
    rng = np.random.default_rng(6)
    batch, length = 4, 128
    frames = rng.integers(0, 255, (batch, length, 8, 8, 3), dtype=np.uint8)
    codes = rng.integers(0, 8, (batch, length, 2, 2))
    real, control = rng.normal(size=(64, 5)), rng.normal(size=(64, 5))
    horizons = s.reported(length)
    assert horizons == (16, 32, 64, 128)
    windows = rng.normal(size=(batch, len(horizons) * s.WINDOW, 5))
    looks = rng.normal(size=(batch, length // s.JUDGED_EVERY, 5)) * 0.1
    windows[:, -s.WINDOW :] += 9  # lost by frame 128
    looks[:, 2:] += 9
    against = compared(frames[0], frames[1][:64], frames[2][:64])
    seen = {
        "reference": real, "control": control, "painted": rng.normal(size=(64, 5)), "walked": control.reshape(16, s.WINDOW, 5),
        "windows": windows, "looks": looks, "shorter": looks[:0],
    }  # fmt: skip
    section = s.drift_section(from_start(frames), codes, against, seen, 8)
    found = {metric.name: metric.world.value for metric in section.metrics}
    assert found["frechet_lite0_128"] > 20 * found["frechet_lite0_32"]  # type: ignore[operator]
    assert found["frechet_growth"] == pytest.approx(found["frechet_lite0_128"] / found["frechet_lite0_32"])  # type: ignore[operator]
    assert found["kernel_lite0_128"] > found["kernel_lite0_64"]  # type: ignore[operator]
    assert found["half_life"] == 48
    assert (found["alive_32"], found["alive_64"]) == (1.0, 0.0)
    assert "alive_128" not in found  # a collapse at 96 would not have been seen
    assert found["stirring_128"] == 1.0
    for episodes, several in ((np.arange(batch), True), (np.zeros(batch, int), False)):
        section = s.drift_section(from_start(frames, episodes), codes, against, seen, 8)
        metrics = {metric.name: metric.world for metric in section.metrics}
        for name in ("frechet_lite0_64", "kernel_lite0_64", "half_life", "alive_32", "outlines_64", "token_entropy_64"):
            assert metrics[name].value is not None and (metrics[name].low is not None) == several, name  # rollouts from one scene
            assert metrics[name].episodes == len(np.unique(episodes))


def test_rollouts_that_fade_to_one_colour_have_collapsed_however_near_real_features_they_are() -> None:
    rng = np.random.default_rng(7)
    batch, length = 4, 128
    frames = rng.integers(0, 255, (batch, length, 8, 8, 3), dtype=np.uint8)
    control = rng.integers(0, 255, (64, 8, 8, 3), dtype=np.uint8)
    frames[:, 63:] = 200  # nothing to see from the fourth look on
    real = rng.normal(size=(64, 5))
    seen = {
        "reference": real, "control": rng.normal(size=(64, 5)), "painted": rng.normal(size=(64, 5)),
        "walked": real.reshape(16, s.WINDOW, 5),
        "windows": rng.normal(size=(batch, 4 * s.WINDOW, 5)), "looks": np.broadcast_to(real[0], (batch, length // s.JUDGED_EVERY, 5)),
        "shorter": np.zeros((0, length // s.JUDGED_EVERY, 5)),
    }  # fmt: skip
    against, codes = compared(frames[0], control, control), rng.integers(0, 8, (batch, length, 2, 2))
    found = {metric.name: metric.world.value for metric in s.drift_section(from_start(frames), codes, against, seen, 8).metrics}
    assert found["half_life"] == 64
    assert found["outlines_32"] > 0.5 and found["outlines_128"] == 0  # type: ignore[operator]


def test_a_world_that_keeps_to_its_tokenizers_pictures_has_not_collapsed_however_unlike_photographs_they_are() -> None:
    rng = np.random.default_rng(9)
    batch, length = 4, 128
    frames = rng.integers(0, 255, (batch, length, 8, 8, 3), dtype=np.uint8)
    real, control, painted = (rng.normal(size=(64, 5)) + shift for shift in (0, 0, 20))  # a paint far from what it paints
    against, codes = compared(frames[0], frames[1][:64], frames[2][:64]), rng.integers(0, 8, (batch, length, 2, 2))
    seen = {
        "reference": real, "control": control, "painted": painted, "walked": control.reshape(16, s.WINDOW, 5),
        "windows": rng.normal(size=(batch, 4 * s.WINDOW, 5)), "looks": rng.normal(size=(batch, length // s.JUDGED_EVERY, 5)) * 0.1 + 20,
        "shorter": np.zeros((0, length // s.JUDGED_EVERY, 5)),
    }  # fmt: skip
    found = {metric.name: metric.world.value for metric in s.drift_section(from_start(frames), codes, against, seen, 8).metrics}
    assert found["half_life"] == length - (s.COLLAPSE_LOOKS - 1) * s.JUDGED_EVERY  # as far as one would be seen
    assert found["painted_outside"] == 1.0  # and the report says so
    away = seen | {"looks": seen["looks"] + 20}
    found = {metric.name: metric.world.value for metric in s.drift_section(from_start(frames), codes, against, away, 8).metrics}
    assert found["half_life"] == s.JUDGED_EVERY  # neither like the game nor like its paint


def test_a_share_left_counts_rollouts_as_long_as_they_were_followed_and_never_rises() -> None:
    times, followed = np.array([16.0, np.inf, np.inf, 112.0, 144.0]), np.array([160, 64, 64, 160, 160])
    assert s.alive_after(times, followed, (15, 16, 64, 112, 144)).tolist() == pytest.approx([1, 0.8, 0.8, 0.4, 0.0])


def test_a_picture_that_stands_still_does_not_stir() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (1, 9, 32, 32, 3), dtype=np.uint8)
    half = frames.copy()
    half[:, 5:] = half[:, 4:5]
    still = np.repeat(frames[:, :1], 9, axis=1)
    assert s.stirring(np.concatenate([frames, half, still])).tolist() == [1.0, 0.5, 0.0]


def test_a_kind_of_frames_that_there_are_none_of_sets_no_limit() -> None:
    features, shown = np.zeros((64, 5)), np.full(64, 0.3)
    assert s.Limits.of(features, [features, features[:0]], [shown, shown[:0]]).outlines == pytest.approx(0.3)


def test_a_tokenizer_that_fades_everything_does_not_excuse_a_rollout_that_fades() -> None:
    features = np.zeros((64, 5))
    real, faded = np.full(64, 0.3), np.full(64, 0.01)
    limits = s.Limits.of(features, [features, features], [real, faded])
    assert limits.outlines == s.LEAST_OUTLINES * 0.3
    assert limits.outside(features[:2], np.array([0.1, 0.2])).tolist() == [True, False]
