"""Playing in the real window: the shipped world, posted events, the loop that users get."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pygame
import pytest
from hands import Player, screen

import genie
from genie.sessions.reading import read_session
from player import opening
from player.app import App
from player.controls import ActionMap
from player.launch import display_available
from player.model_thread import ModelThread, Take
from player.screens.edit import Edit
from player.screens.export import Export
from player.screens.home import Home
from player.screens.play import Play
from player.screens.studio import Studio


def test_keys_act_and_the_picture_is_the_worlds_frame(player: Player) -> None:
    player.frames(1)
    assert player.shown.action == "noop"
    player.down(pygame.K_RIGHT)
    player.wait(lambda: player.shown.action == "right")
    player.down(pygame.K_SPACE)
    player.wait(lambda: player.shown.action == "right+jump")
    player.up(pygame.K_SPACE)
    player.up(pygame.K_RIGHT)
    player.down(pygame.K_a)
    player.wait(lambda: player.shown.action == "left")
    player.up(pygame.K_a)
    for key in (pygame.K_w, pygame.K_z, pygame.K_x):  # up jumps where only jump exists, and there is one act for two keys
        player.down(key)
        player.wait(lambda: player.shown.action == "jump")
        player.up(key)
        player.wait(lambda: player.shown.action == "noop")
    player.down(pygame.K_4)
    player.wait(lambda: player.shown.action == "action 3")
    player.up(pygame.K_4)
    play = screen(player, Play)
    player.app.model.pause(True)
    player.settled()
    shot, view = player.picture("play"), play.view
    scale = view.width // 64
    assert np.array_equal(shot[view.y : view.bottom, view.x : view.right], player.shown.frame.repeat(scale, 0).repeat(scale, 1))


def test_what_a_world_remembers_is_shown_around_its_picture(opened: Callable[..., App], bundle: Path, coinrun_easy: genie.World) -> None:
    player = Player(opened(coinrun_easy, seed=1))
    player.to("Play")
    player.key(pygame.K_m)
    player.wait(lambda: any("remembers nothing" in text for text, _ in player.app._toasts))
    assert player.shown.around is None
    hands = Player(opened(genie.load_world(bundle, device="cpu"), seed=1))
    hands.wait(lambda: isinstance(hands.app.screen, Play) and hands.shown.index >= 12)
    hands.key(pygame.K_m)
    hands.wait(lambda: hands.shown.around is not None)
    play = screen(hands, Play)
    hands.app.model.pause(True)
    hands.settled()
    shot = hands.picture("around")
    around, frame, view = hands.shown.around, hands.shown.frame, play.view
    scale, margin = view.width // around.shape[1], (len(around) - len(frame)) // 2
    assert view.size == (around.shape[1] * scale, len(around) * scale)
    shot = shot[view.y : view.bottom, view.x : view.right]
    inner = slice(margin * scale, -margin * scale)
    assert np.array_equal(shot[inner, inner], frame.repeat(scale, 0).repeat(scale, 1))
    unseen = (around[..., 3] == 0).repeat(scale, 0).repeat(scale, 1)
    assert unseen.any() and not unseen.all()
    assert (shot[unseen].max(axis=-1) < 60).mean() > 0.99  # hatched, darkly, but for the line around the frame
    hands.app.model.pause(False)
    hands.key(pygame.K_m)
    hands.wait(lambda: hands.shown.around is None)


def test_a_large_world_is_played_painted_on_and_rewound(opened: Callable[..., App], large_world: Path) -> None:
    world = genie.load_world(large_world, device="cpu", backend="onnx")
    resolution = world.resolution
    player = Player(opened(world, seed=2))
    player.to("Play")
    player.down(pygame.K_RIGHT)
    player.wait(lambda: player.shown.action == "right")
    player.frames(4)
    player.up(pygame.K_RIGHT)
    play = screen(player, Play)
    player.app.model.pause(True)
    player.settled()
    shown, shot, view = player.shown.frame, player.picture(f"play-{resolution[1]}x{resolution[0]}"), play.view
    scale = view.height // resolution[0]
    assert shown.shape == (*resolution, 3) and scale >= 2 and view.size == (resolution[1] * scale, resolution[0] * scale)
    assert np.array_equal(shot[view.y : view.bottom, view.x : view.right], shown.repeat(scale, 0).repeat(scale, 1))
    player.press("edit")
    edit = screen(player, Edit)
    player.press("canvas")
    player.key(pygame.K_SPACE)
    player.key(pygame.K_ESCAPE)
    painted = edit.painting.frame.copy()
    assert not np.array_equal(painted, shown)
    player.press("apply")
    player.to("Play")
    player.frames(4)
    session = player.app.model.session
    assert session is not None
    edited = session.recording.branch(session.branch)
    assert edited.hold and np.array_equal(session.frame_at(edited.start), painted)
    player.down(pygame.K_BACKSPACE)
    player.wait(lambda: player.shown.index <= edited.start)
    player.up(pygame.K_BACKSPACE)
    assert np.array_equal(session.frame_at(0), world.prompts[0].frames[-1])
    player.pause()
    player.press("studio")
    studio = screen(player, Studio)
    player.wait(lambda: studio.ahead is not None and len(studio.ahead.frames) >= 2)
    assert studio.ahead is not None and studio.ahead.frames[-1].shape[1:] == (*resolution, 3)


def test_the_picture_is_enlarged_by_whole_numbers_from_1_to_8(player: Player) -> None:
    play = screen(player, Play)
    player.app.model.pause(True)
    player.settled()
    for scale in range(1, 9):
        player.app.settings.scale = scale
        shot, view = player.picture("scaled"), play.view
        assert view.size == (64 * scale, 64 * scale)
        assert np.array_equal(shot[view.y : view.bottom, view.x : view.right], player.shown.frame.repeat(scale, 0).repeat(scale, 1))


def test_a_click_into_the_film_strip_goes_there(player: Player) -> None:
    player.frames(17)
    play = screen(player, Play)
    player.app.draw()
    box, index = play._thumbs[1]
    assert index == 15
    player.post(pygame.MOUSEBUTTONDOWN, button=1, pos=box.center)
    player.wait(lambda: player.app.model.paused and player.shown.index == 15)


def test_a_tap_between_two_frames_reaches_the_world(player: Player) -> None:
    for _ in range(5):
        player.frames(1)
        seen: list[str] = []
        start = player.shown.index
        player.down(pygame.K_SPACE)
        player.up(pygame.K_SPACE)
        while player.shown.index < start + 4:
            seen.append(player.shown.action)
            player.turns(0.005)
        assert "jump" in seen


def test_the_worlds_own_rate_is_kept_and_a_late_frame_causes_no_burst(player: Player) -> None:
    player.frames(2)
    player.app.work(lambda: time.sleep(0.7))  # ten frames are missed
    player.turns(0.75)
    start, began = player.shown.index, time.monotonic()
    player.wait(lambda: player.shown.index >= start + 20)
    seconds = time.monotonic() - began
    assert 19 / 15 - 0.1 < seconds < 2 * 20 / 15  # 15 frames a second, never faster


def test_losing_the_focus_clears_the_keys_and_pauses(player: Player) -> None:
    player.down(pygame.K_RIGHT)
    player.wait(lambda: player.shown.action == "right")
    player.post(pygame.WINDOWFOCUSLOST)
    player.to("Pause")
    player.settled()
    index = player.shown.index
    player.turns(0.3)
    assert player.shown.index == index
    player.key(pygame.K_p)
    player.wait(lambda: player.shown.action == "noop")


def test_a_pause_costs_less_than_a_twentieth_of_a_core(player: Player) -> None:
    player.pause()
    player.turns(0.5)  # what the start began, as reading the worlds for home, is done
    stop = time.monotonic() + 2.0
    began = time.process_time()
    player.app.run(max_seconds=2.0)
    used = time.process_time() - began
    assert time.monotonic() >= stop - 0.1
    assert used < 0.05 * 2.0


def test_single_steps_forward_and_back_show_the_same_frames(player: Player) -> None:
    player.frames(5)
    player.pause()
    frames = {player.shown.index: player.shown.frame}
    player.down(pygame.K_d)  # held for the next single step
    player.key(pygame.K_PERIOD)
    player.wait(lambda: player.shown.index == max(frames) + 1)
    assert player.shown.action == "right"
    player.up(pygame.K_d)
    frames[player.shown.index] = player.shown.frame
    last = player.shown.index
    for index in range(last - 1, last - 4, -1):
        player.key(pygame.K_COMMA)
        player.wait(lambda index=index: player.shown.index == index)
    for index in range(last - 2, last + 1):
        player.key(pygame.K_PERIOD)
        player.wait(lambda index=index: player.shown.index == index)
        if index in frames:
            assert np.array_equal(player.shown.frame, frames[index])
    assert player.shown.branch == 0  # nobody acted, so nothing branched


def test_a_rewound_take_goes_on_to_the_bit(player: Player) -> None:
    player.down(pygame.K_RIGHT)
    player.frames(25)
    player.up(pygame.K_RIGHT)
    player.down(pygame.K_BACKSPACE)
    player.wait(lambda: player.shown.index <= 5)
    player.app.model.pause(True)
    player.up(pygame.K_BACKSPACE)
    player.settled()
    session = player.app.model.session
    assert session is not None
    start, root = player.shown.index, list(session.path(0))
    known = [session.frame_at(index, 0) for index in range(len(root) + 1)]
    for step in root[start : start + 6]:
        job = player.app.work(lambda action=step.action: player.app.model.settle().step(action))
        player.wait(lambda job=job: job.done)
        assert job.error is None
        assert np.array_equal(job.result, known[step.index])
    assert session.branch != 0  # the take that was there is there still
    assert session.recording.branch(0).end == len(root)


def test_reset_undo_and_quick_save_throw_nothing_away(player: Player) -> None:
    player.frames(8)
    player.key(pygame.K_F5)
    player.wait(lambda: any("Saved to slot 1" in line for line in player.app.log))
    saved = player.app.model.session.recording.cursor  # type: ignore[union-attr]
    player.ctrl(pygame.K_r)
    player.wait(lambda: player.shown.index < 4 and player.shown.branch == 1)
    player.frames(3)
    player.pause()
    player.ctrl(pygame.K_z)
    player.wait(lambda: player.shown.index == 0)
    player.key(pygame.K_F9)
    player.wait(lambda: any("Slot 1 loaded" in line for line in player.app.log))
    assert player.shown.index >= 8 and player.shown.branch == 0
    assert player.shown.index <= saved[1] + 1
    assert [branch.id for branch in player.app.model.session.tree] == [0, 1]  # type: ignore[union-attr]
    assert player.app.shelf.slot_path(1).is_file()


def test_a_slot_of_an_earlier_play_is_played_on_if_the_play_was_running_and_stands_still_if_it_was(
    player: Player, opened: Callable[..., App], coinrun: genie.World
) -> None:
    player.frames(6)
    player.key(pygame.K_F5)
    player.wait(lambda: any("Saved to slot 1" in line for line in player.app.log))
    told = next(line for line in player.app.log if "Saved to slot 1" in line)
    saved = int(told.rpartition("frame ")[2].rstrip("."))  # the world has gone on since
    player.app.close()
    later = Player(opened(coinrun, "level-02", seed=9))
    later.wait(lambda: isinstance(later.app.screen, Play) and later.shown.index >= 1)
    later.key(pygame.K_F9)
    later.wait(lambda: any("Slot 1 loaded" in line for line in later.app.log))
    later.wait(lambda: later.shown.index >= saved + 3)
    later.pause()
    session = later.app.model.session
    later.key(pygame.K_F9)
    later.wait(lambda: sum("Slot 1 loaded" in line for line in later.app.log) == 2)
    later.turns(0.3)
    assert later.app.model.session is not session
    assert (later.shown.index, later.app.model.paused) == (saved, True)
    shelf = later.app.shelf
    kept = [path.name for path in shelf.sessions()]
    later.app.close()
    assert len(kept) == 4 and [path.name for path in shelf.sessions()] == kept  # nothing was done in what was opened last


def test_fast_is_faster_and_turn_based_makes_one_frame_for_one_key(player: Player) -> None:
    player.app.settings.speed = 0.25
    player.app.apply_settings()
    player.frames(2)
    player.down(pygame.K_TAB)
    start, began = player.shown.index, time.monotonic()
    player.wait(lambda: player.shown.index >= start + 10)
    assert 10 / (time.monotonic() - began) > 1.5 * 15 / 4
    player.up(pygame.K_TAB)
    player.key(pygame.K_t)
    player.key(pygame.K_t)
    player.wait(lambda: player.app.model.mode == "turn-based")
    player.turns(0.3)
    index = player.shown.index
    player.turns(0.3)
    assert player.shown.index == index
    player.key(pygame.K_RIGHT)
    player.key(pygame.K_RIGHT)  # before the first one's frame is there
    player.wait(lambda: player.shown.index == index + 2)
    player.turns(0.3)
    assert (player.shown.index, player.shown.action) == (index + 2, "right")
    player.down(pygame.K_RIGHT)
    player.key(pygame.K_SPACE)
    player.wait(lambda: player.shown.action == "right+jump")
    assert player.shown.index == index + 4


def test_after_fast_play_time_goes_on_at_the_worlds_rate_at_once(player: Player) -> None:
    player.app.settings.speed = 0.25  # a frame takes 0.27 seconds
    player.app.apply_settings()
    player.down(pygame.K_TAB)
    player.frames(10)
    player.up(pygame.K_TAB)
    began = time.monotonic()
    player.frames(2)  # one of them was being made
    assert time.monotonic() - began < 2 * 4 / 15 + 0.6
    player.down(pygame.K_TAB)
    player.frames(10)
    player.up(pygame.K_TAB)
    index, began = player.shown.index, time.monotonic()
    player.down(pygame.K_BACKSPACE)
    player.wait(lambda: player.shown.index < index)
    assert time.monotonic() - began < 2 * 4 / 15 + 0.6


def test_the_rate_is_that_of_frames_made_one_after_another(player: Player) -> None:
    made = player.app.model.figures.finished
    player.frames(3)
    player.down(pygame.K_BACKSPACE)
    player.wait(lambda: player.app.model.rewinding)
    player.wait(lambda: not made)
    player.up(pygame.K_BACKSPACE)
    player.wait(lambda: len(made) >= 3)
    player.app.model.mode = "turn-based"
    player.key(pygame.K_RIGHT)
    player.wait(lambda: not made)


@pytest.mark.parametrize(("speed", "rate", "slow"), [(1, 8, True), (1, 10, False), (4, 10, False), (4, 8, True), (0.25, 3.75, False)])
def test_a_machine_is_slow_below_60_percent_of_the_worlds_rate(coinrun: genie.World, speed: float, rate: float, slow: bool) -> None:
    model = ModelThread()
    model.map, model.speed = ActionMap(coinrun), speed
    model.figures.finished.extend(number / rate for number in range(30))
    assert model.slow is slow


def test_turn_based_play_is_offered_where_the_world_is_too_slow(player: Player) -> None:
    session = player.app.model.session
    assert session is not None
    quick = session.step

    def slow(*arguments: object, **options: object) -> np.ndarray:
        time.sleep(0.12)
        return quick(*arguments, **options)  # type: ignore[arg-type]

    session.step = slow  # type: ignore[method-assign]
    player.wait(lambda: any("T twice (pad: Back+D-down twice) changes to turn-based" in line for line in player.app.log))
    player.key(pygame.K_t)
    player.key(pygame.K_t)
    assert player.app.model.mode == "turn-based"


def test_two_keys_a_stick_and_a_pad_button_share_a_control(player: Player) -> None:
    player.down(pygame.K_RIGHT)
    player.wait(lambda: player.shown.action == "right")
    player.post(pygame.JOYAXISMOTION, axis=0, value=0.01, instance_id=0)
    player.key(pygame.K_d)
    player.frames(4)
    assert player.shown.action == "right"
    player.up(pygame.K_RIGHT)
    player.post(pygame.JOYAXISMOTION, axis=0, value=-1.0, instance_id=0)
    player.wait(lambda: player.shown.action == "left")
    player.post(pygame.JOYBUTTONDOWN, button=0, instance_id=0)
    player.wait(lambda: player.shown.action == "left+jump")
    player.post(pygame.JOYAXISMOTION, axis=0, value=0.0, instance_id=0)
    player.wait(lambda: player.shown.action == "jump")
    player.post(pygame.JOYBUTTONUP, button=0, instance_id=0)
    player.wait(lambda: player.shown.action == "noop")


def test_a_pad_that_sdl_knows_is_read_by_its_layout(player: Player) -> None:
    player.post(pygame.CONTROLLERAXISMOTION, axis=0, value=30000, instance_id=0)
    player.wait(lambda: player.shown.action == "right")
    player.post(pygame.CONTROLLERBUTTONDOWN, button=pygame.CONTROLLER_BUTTON_A, instance_id=0)
    player.wait(lambda: player.shown.action == "right+jump")
    player.post(pygame.CONTROLLERAXISMOTION, axis=0, value=0, instance_id=0)
    player.post(pygame.CONTROLLERBUTTONUP, button=pygame.CONTROLLER_BUTTON_A, instance_id=0)
    player.wait(lambda: player.shown.action == "noop")
    player.post(pygame.CONTROLLERBUTTONDOWN, button=pygame.CONTROLLER_BUTTON_START, instance_id=0)
    player.to("Pause")


def test_control_changes_hands_without_a_reset(player: Player) -> None:
    player.down(pygame.K_RIGHT)
    player.frames(6)
    player.up(pygame.K_RIGHT)
    index = player.shown.index
    player.ctrl(pygame.K_m)
    player.wait(lambda: player.app.model.driver == "policy")
    player.wait(lambda: player.shown.action not in ("noop", "right"))
    player.ctrl(pygame.K_m)
    player.wait(lambda: player.app.model.driver == "replay")
    player.wait(lambda: player.app.model.driver == "human", seconds=30)  # at the take's end
    session = player.app.model.session
    assert session is not None
    actions = session.path().actions.tolist()
    assert player.shown.index > index and player.shown.branch == 0
    replayed = next(n for n in range(index, len(actions)) if actions[n : n + 6] == actions[:6])
    assert replayed > index


def test_the_figures_are_those_of_the_thread(player: Player) -> None:
    player.key(pygame.K_RIGHT)
    player.frames(16)
    player.key(pygame.K_F10)
    player.wait(lambda: player.app.model.take is not None)
    hud = screen(player, Play)._hud
    lines, shares = hud.figures(player.shown)
    assert set(lines) >= {"rate", "step p50", "step p99", "key to screen", "context", "seed", "salt", "action", "drift"}
    assert lines["seed"] == "1" and lines["context"].startswith("100%") and 0 <= shares["drift"] <= 1
    model = player.app.model
    assert 0 < model.figures.milliseconds(50) <= model.figures.milliseconds(99)
    assert 0 < model.figures.key_to_frame[-1] <= model.figures.key_to_screen[-1] < 1
    player.picture("recording")
    player.frames(3)
    player.key(pygame.K_F10)
    player.wait(lambda: model.last_take is not None)
    take = model.last_take
    assert take is not None and take.branch == 0 and take.last > take.first


def test_a_take_ends_with_its_session_and_is_marked_in_it(player: Player) -> None:
    app, model = player.app, player.app.model
    player.key(pygame.K_F10)
    player.wait(lambda: model.take is not None)
    player.frames(3)
    player.key(pygame.K_F10)
    player.wait(lambda: model.last_take is not None)
    player.key(pygame.K_F10)
    player.wait(lambda: model.take is not None)
    player.frames(3)
    before = model.session
    opening.open_world(app, "coinrun")
    player.wait(lambda: model.session is not before and model.newest is not None)
    player.settled()
    assert model.take is None and model.last_take is None
    [path] = app.shelf.sessions()
    first, second = read_session(path).tree[1:]
    assert first.label.startswith("take 1 (frames ") and second.label.startswith("take 2 (frames ")
    assert second.kind == "bookmark" and second.start >= first.start + 3


def test_a_take_ends_where_the_play_goes_elsewhere_and_begins_where_it_is_rewound_to(player: Player) -> None:
    model = player.app.model
    player.frames(4)
    player.pause()
    player.key(pygame.K_F10)
    player.wait(lambda: model.take is not None)
    begun = model.take
    assert begun is not None
    for _ in range(3):
        player.key(pygame.K_PERIOD)
        player.settled()
    player.ctrl(pygame.K_r)
    player.wait(lambda: model.last_take is not None)
    assert model.take is None and model.last_take == Take(begun.branch, begun.first, begun.first + 3)
    player.app.work(lambda: model.seek(4, 0))
    player.settled()
    player.key(pygame.K_F10)
    player.wait(lambda: model.take is not None)
    for _ in range(2):
        player.key(pygame.K_COMMA)
        player.settled()
    player.down(pygame.K_d)
    player.key(pygame.K_PERIOD)
    player.up(pygame.K_d)
    player.wait(lambda: player.shown.action == "right")
    player.key(pygame.K_F10)
    player.wait(lambda: model.take is None)
    assert (model.last_take.first, model.last_take.last) == (2, 3)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_journal_that_stops_is_told_once(player: Player) -> None:
    session = player.app.model.session
    assert session is not None and session.journal is not None
    session.journal._file = Path("/dev/full").open("ab", buffering=0)  # noqa: SIM115
    player.wait(lambda: any("not written down any more (No space left on device)" in line for line in player.app.log))
    player.frames(3)
    assert sum("not written down any more" in line for line in player.app.log) == 1
    player.app.close()
    assert len(player.app.shelf.sessions()) == 1


def test_an_error_in_the_model_thread_reaches_the_user_and_the_session_is_kept(player: Player) -> None:
    player.frames(3)
    session = player.app.model.session
    assert session is not None

    def broken(*arguments: object, **options: object) -> np.ndarray:
        raise RuntimeError("no more frames")

    session.step = broken  # type: ignore[method-assign]
    player.wait(lambda: any("The world stopped: RuntimeError: no more frames" in line for line in player.app.log))
    player.to("Pause")
    player.press("go on")
    assert any("goes back and tries again" in line for line in player.app.log)
    player.to("Pause")
    del session.step
    player.ctrl(pygame.K_z)
    player.settled()
    player.press("go on")
    player.to("Play")
    player.frames(2)
    player.pause()
    player.press("home")
    player.to("Home")
    player.press("world:coinrun")
    player.to("Play")
    player.frames(1)
    assert len(player.app.shelf.sessions()) == 1


def test_closing_the_window_keeps_the_session_and_it_goes_on(player: Player, coinrun: genie.World) -> None:
    player.frames(5)
    player.post(pygame.QUIT)
    player.app.run()
    [path] = player.app.shelf.sessions()
    assert not list(player.app.shelf.place("journals").iterdir())
    again = Player(type(player.app)())
    again.app.worlds["coinrun"] = coinrun
    again.app.reset_to(Home(again.app))
    assert again.app.settings.last_session == str(path)
    again.press("continue")
    again.to("Pause")  # it opens standing still
    index = again.shown.index
    assert index >= 5
    again.key(pygame.K_p)
    again.frames(2)
    again.app.close()
    assert again.app.shelf.sessions() == [path]


def test_a_session_that_cannot_be_kept_is_offered_at_home_and_told_in_the_terminal(
    player: Player, coinrun: genie.World, capsys: pytest.CaptureFixture[str]
) -> None:
    player.frames(3)
    (player.app.shelf.folder / "sessions").write_text("in the way of the folder")
    player.app.close()
    assert "could not be kept" in capsys.readouterr().err
    [journal] = player.app.shelf.crashed()
    again = Player(type(player.app)())
    again.app.worlds["coinrun"] = coinrun
    again.app.reset_to(Home(again.app))
    again.press(f"recover:{journal.name}")
    again.to("Pause")
    assert again.shown.index >= 3
    (player.app.shelf.folder / "sessions").unlink()
    again.app.close()
    assert len(again.app.shelf.sessions()) == 1 and again.app.shelf.crashed() == []


def test_leaving_during_an_export_stops_it_and_keeps_the_session(player: Player) -> None:
    player.frames(3)
    player.pause()
    session = player.app.model.session
    assert session is not None
    session.recording.append(0, np.resize(session.recording.rows(0), 20_000))  # a quarter of an hour
    export = Export(player.app, branch=0)
    player.app.push(export)
    player.press("kind:mp4")
    player.wait(lambda: export._progress[0] > 0)
    began = time.monotonic()
    player.app.close()
    assert time.monotonic() - began < 5
    assert len(player.app.shelf.sessions()) == 1


@pytest.fixture
def interruptible() -> Iterator[None]:
    """As in a terminal; what a shell starts in the background has SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_in_the_terminal_leaves_from_home_every_time(opened: Callable[..., App]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        app = opened()
        timer = threading.Timer(rng.uniform(0.02, 0.1), os.kill, (os.getpid(), signal.SIGINT))
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            timer.start()
            app.run(max_seconds=10)
        assert time.monotonic() - began < 5
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_in_the_terminal_keeps_the_session(player: Player) -> None:
    player.frames(3)
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        player.app.run(max_seconds=10)
    assert len(player.app.shelf.sessions()) == 1


def test_a_dummy_display_that_was_asked_for_counts_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert display_available()
    monkeypatch.delenv("SDL_VIDEODRIVER")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not (sys.platform == "linux" and display_available())
