"""Recorders: each on its real game, on levels of its own split, the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from genie.cli.app import app
from genie.data import coinrun, practice
from genie.data.check import find_leaks, problems, write_card
from genie.data.games.game import NO_ADVICE, Game, Moment, Mood, Style, fit
from genie.data.games.registry import DOOM, PROCGEN, check_resolution, find_game, parse_size
from genie.data.policies import Mixed, StickyMixed, StickyMixedPolicy, TrainedPolicy
from genie.data.recorder import record
from genie.data.store import Dataset
from genie.errors import GenieError, MissingDependencyError


def game_or_skip(name: str, resolution: tuple[int, int] | None = None) -> Game:
    try:
        return find_game(name, resolution)
    except MissingDependencyError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    ("name", "resolution"),
    [
        ("doom-my-way-home", (64, 96)),
        ("doom-take-cover", (64, 96)),
        ("doom-health-gathering-supreme", (64, 96)),
        ("car-racing", (64, 64)),
        ("pong", (80, 80)),
        ("breakout", (80, 80)),
        ("gym:LunarLander-v3", (64, 96)),
        ("gym:CartPole-v1", (64, 96)),
        ("bigfish", (64, 64)),
    ],
)
def test_a_real_game_is_recorded_with_named_actions_on_levels_of_its_split(name: str, resolution: tuple[int, int], tmp_path: Path) -> None:
    game = game_or_skip(name)
    record(tmp_path / "d", game, train_frames=120, held_out_frames=40, environments=1)
    dataset = Dataset(tmp_path / "d")
    assert dataset.info.resolution == resolution
    assert dataset.info.frame_skip == game.skip
    assert 12 <= dataset.info.game_rate / game.skip <= 20  # a world near 15 frames a second
    assert ("research" in dataset.info.licence) == game.research_only
    for split, (first, count) in game.levels.items():
        data = dataset.split(split)
        assert data.level_seeds.min() >= first
        assert data.level_seeds.max() < first + count
        frames = data.frames[:].astype(np.int16)
        assert frames.max() - frames.min() > 100  # a picture
        assert (np.abs(np.diff(frames, axis=0)).max(axis=(1, 2, 3)) > 0).mean() > 0.1  # that moves
        assert (data.actions < len(dataset.info.action_names)).all()
    card = write_card(dataset)
    assert card.licence == game.licence
    assert card.source == game.source


@pytest.mark.parametrize("name", PROCGEN)
def test_every_procgen_game_opens_and_obeys_all_its_actions(name: str) -> None:
    game = game_or_skip(name)
    games = game.make(2, "held_out", 3)
    for action in range(len(game.actions)):
        games.act(np.full(2, action))
        moment = games.observe()
    games.close()
    assert moment.frames.shape == (2, 64, 64, 3)
    assert (moment.seeds >= 1_000_000).all()


def test_the_same_seed_records_the_same_game(tmp_path: Path) -> None:
    game = game_or_skip("pong")
    for name in ("a", "b"):
        record(tmp_path / name, game, train_frames=60, held_out_frames=40, seed=4, environments=1)
    a, b = (Dataset(tmp_path / name).split("train") for name in ("a", "b"))
    assert np.array_equal(a.frames[:], b.frames[:])
    assert np.array_equal(a.actions, b.actions)


def test_the_ball_of_pong_is_in_the_picture() -> None:
    game = game_or_skip("pong")
    games = game.make(1, "train", 1)
    balls = []
    for _ in range(80):
        moment = games.observe()
        red, green, blue = np.moveaxis(moment.frames[0].astype(float), -1, 0)
        share = (red - 144) / 92  # of the white ball in a pixel of the brown field
        ball = (share > 0.1) & (np.abs(green - 72 - 164 * share) < 6) & (np.abs(blue - 17 - 219 * share) < 6)
        balls.append(int(ball.sum()))
        games.act(moment.advice.clip(min=0))  # type: ignore[union-attr]
    games.close()
    assert np.isin(balls, (1, 2, 3, 4)).mean() > 0.4  # two of the console's pixels, on one to four of ours while in play


def test_the_simple_driver_stays_on_the_road() -> None:
    game = game_or_skip("car-racing")
    games = game.make(1, "train", 2)
    reward = 0.0
    for _ in range(120):
        moment = games.observe()
        assert moment.advice is not None
        assert moment.advice[0] != NO_ADVICE
        reward += float(moment.rewards[0])
        games.act(moment.advice)
    games.close()
    assert reward > 5  # tiles of the road are what it is paid for


def test_a_game_is_recorded_at_another_size(tmp_path: Path) -> None:
    record(tmp_path / "d", game_or_skip("coinrun", (64, 96)), train_frames=40, held_out_frames=40, environments=1)
    data = Dataset(tmp_path / "d").split("train")
    assert data.frames.shape == (40, 64, 96, 3)


def test_what_cannot_be_recorded_says_why() -> None:
    for name, says in (("tetris", "no recorder"), ("gym:Nope-v0", "no environment 'Nope-v0'")):
        with pytest.raises((GenieError, MissingDependencyError)) as raised:
            find_game(name)
        assert says in str(raised.value) or "pip install" in str(raised.value)
    with pytest.raises(GenieError, match="multiples of 16"):
        check_resolution((60, 64))
    with pytest.raises(GenieError, match="for example 96x64"):
        parse_size("big")
    assert parse_size("96x64") == (64, 96)


def test_a_missing_game_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in (("vizdoom", DOOM[0]), ("gymnasium", "pong"), ("ale_py", "pong")):
        with monkeypatch.context() as hidden:
            hidden.setitem(__import__("sys").modules, module, None)
            with pytest.raises(MissingDependencyError, match=r"pip install 'genie-worlds\[games\]'"):
                find_game(name)


def test_an_advised_mood_follows_the_game_and_keeps_an_action_for_a_whole_frame() -> None:
    style = Style(moods={"follow": Mood(1.0, None), "other": Mood(0.0, (0.0, 1.0))}, repeat=3)
    policy = StickyMixedPolicy(4, np.random.default_rng(0), style)
    first = np.zeros(4, bool)
    policy.act(~first)
    taken = np.stack([policy.act(first, np.full(4, t % 2)) for t in range(1, 31)])
    assert (taken[2::3] == (np.arange(3, 31, 3) % 2)[:, None]).all()
    assert (taken[2:-1].reshape(-1, 3, 4) == taken[2::3][:9, None]).all()


def test_a_policy_file_is_opened_only_when_it_is_trusted(tmp_path: Path) -> None:
    stable_baselines3 = pytest.importorskip("stable_baselines3", reason="pip install 'genie-worlds[rl]'")
    gymnasium = pytest.importorskip("gymnasium", reason="pip install 'genie-worlds[games]'")
    path = tmp_path / "policy.zip"
    model = stable_baselines3.PPO("MlpPolicy", gymnasium.make("CartPole-v1"), seed=0, device="cpu", n_steps=16, batch_size=16)
    model.save(path)
    with pytest.raises(GenieError, match="--trust-policy"):
        TrainedPolicy(path, trusted=False)
    policy = TrainedPolicy(path, trusted=True)
    record(tmp_path / "d", find_game("gym:CartPole-v1"), train_frames=60, held_out_frames=40, environments=1, policy=policy)
    dataset = Dataset(tmp_path / "d")
    assert dataset.info.recipe["policy_file"] == "policy.zip"
    assert set(dataset.split("train").actions.tolist()) == {0, 1}
    with pytest.raises(GenieError, match="another game"):
        record(tmp_path / "e", game_or_skip("bigfish"), 40, 40, environments=1, policy=policy)


def test_a_policy_is_gone_on_from_only_when_it_is_trusted(tmp_path: Path) -> None:
    path = tmp_path / "downloaded.zip"
    practise = ["practise", "coinrun", "--out", str(path), "--resume"]
    done = CliRunner().invoke(app, practise)
    assert isinstance(done.exception, GenieError) and "there is no such policy file" in str(done.exception)
    path.write_bytes(b"anything")
    done = CliRunner().invoke(app, practise)
    assert isinstance(done.exception, GenieError) and "can run any code" in str(done.exception) and "--trust-policy" in str(done.exception)


def test_a_policy_that_practised_plays_its_share_of_the_games(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("stable_baselines3", reason="pip install 'genie-worlds[rl]'")
    from stable_baselines3.common.save_util import load_from_zip_file

    game = game_or_skip("coinrun-hard")
    assert game.about["mode"] == "hard" and game.name == "coinrun-hard"
    monkeypatch.setattr(practice, "GAMES", 2)
    monkeypatch.setattr(practice, "STEPS", 16)
    path, seen = tmp_path / "player.zip", []
    practice.practise(game, path, 64, progress=lambda done, reward: seen.append(done))
    assert seen == [32, 64]
    assert load_from_zip_file(path)[0]["_n_updates"] == 4  # two epochs after each rollout: the last update is in the file
    practice.practise(game, path, 32, going_on=path, progress=lambda done, reward: seen.append(done))
    assert seen[2:] == [32] and load_from_zip_file(path)[0]["num_timesteps"] == 96
    mixed = Mixed(TrainedPolicy(path, trusted=True), StickyMixed(), 0.5)
    record(tmp_path / "d", game, train_frames=900, held_out_frames=200, environments=4, policy=mixed)
    info = Dataset(tmp_path / "d").info
    assert (info.recipe["policy"], info.recipe["policy_share"], info.recipe["mode"]) == ("mixed", 0.5, "hard")
    assert info.recipe["policy_file"] == "player.zip" and "moods" in info.recipe


def test_a_practice_that_was_interrupted_goes_on_and_is_no_policy_before_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("stable_baselines3", reason="pip install 'genie-worlds[rl]'")
    game = game_or_skip("coinrun-hard")
    monkeypatch.setattr(practice, "GAMES", 2)
    monkeypatch.setattr(practice, "STEPS", 16)
    path, seen = tmp_path / "player.zip", []

    def stop_at(last: int) -> Callable[[int, float], None]:
        def progress(done: int, reward: float) -> None:
            seen.append(done)
            if done >= last:
                raise KeyboardInterrupt

        return progress

    with pytest.raises(KeyboardInterrupt):
        practice.practise(game, path, 96, progress=stop_at(32))
    assert not path.exists() and not practice.unfinished(path).exists()  # it had not learned yet
    with pytest.raises(KeyboardInterrupt):
        practice.practise(game, path, 96, progress=stop_at(96))
    assert not path.exists() and practice.unfinished(path).exists()
    done = CliRunner().invoke(app, ["practise", "coinrun-hard", "--out", str(path)])
    assert isinstance(done.exception, GenieError) and "--trust-policy" in str(done.exception)
    practice.practise(game, path, 96, progress=stop_at(1000))
    assert seen == [32, 32, 64, 96, 96] and path.exists() and not practice.unfinished(path).exists()
    path.write_bytes(b"anything")
    with pytest.raises(GenieError, match="is not a policy file"):
        practice.practise(game, path, 32, going_on=path)


class Marked:
    """Plays 99 in the games that it is asked for."""

    def make(self, game: Game, count: int, rng: np.random.Generator) -> Marked:
        return self

    def act(self, moment: Moment) -> np.ndarray:
        assert moment.observations is not None and len(moment.observations) == len(moment.frames)
        return np.full(len(moment.frames), 99)

    def recipe(self, game: Game) -> dict[str, Any]:
        return {"policy": "marked"}


@pytest.mark.parametrize("share", [0.3, 0.5])
@pytest.mark.parametrize("count", [1, 4])
def test_a_share_of_the_episodes_is_played_however_many_games_there_are(share: float, count: int) -> None:
    played = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        policy = Mixed(Marked(), StickyMixed(), share).make(coinrun.game(), count, rng)
        mine: list[bool] = []
        before = np.zeros(count, bool)
        for step in range(60):
            first = (rng.random(count) < 0.1) | (step == 0)
            moment = Moment(np.zeros((count, 16, 16, 3), np.uint8), np.zeros(count, np.float32), first, np.zeros(count, np.int64))
            actions = policy.act(replace(moment, observations=[None] * count))
            assert ((actions == 99) == before)[~first].all()  # who plays changes between episodes only
            before = actions == 99
            mine += before[first].tolist()
            assert abs(sum(mine) - share * len(mine)) < 1  # in a small split too
        played.append(mine[0])
    assert abs(np.mean(played) - share) < 0.15  # any episode may be anybody's


def test_pictures_are_cropped_framed_or_stretched_to_another_aspect() -> None:
    picture = np.zeros((40, 80, 3), np.uint8)
    picture[:, 20:60] = 200  # the middle square
    assert (fit(picture, (16, 16)) == 200).all()
    framed = fit(picture, (16, 16), "letterbox")
    assert (framed[:4] == 0).all()
    assert (framed[4:12, 4:12] == 200).all()
    stretched = fit(picture, (16, 16), "stretch")
    assert (stretched[:, 4:12] == 200).all()
    assert (stretched[:, :4] == 0).all()


def test_recordings_of_a_real_game_pass_the_check(dataset: Dataset) -> None:
    card = write_card(dataset, find_leaks(dataset))
    assert card.leaks is not None
    assert card.leaks.copied == 0
    assert problems(card) == []
