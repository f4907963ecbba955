"""The parts of the player that need no window: bindings, settings, painting, stamps, jobs, motion, drift."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import genie
from genie.bundle import DATA_CARD, put_files
from genie.sessions.format import png
from genie.sessions.session import Session
from player import settings as user
from player.bindings import KEYS, PAD, Bindings, parse, write
from player.controls import ActionMap
from player.drift import DriftMeter
from player.jobs import Job, JobQueue
from player.motion import in_words, names_for, shift, usual_motion
from player.paint import Painting, Stamp
from player.picture_files import read_picture
from player.real_game import RealGame
from player.screens.library import newest_picture
from player.stamps import palette, stamps

RED, BLUE = (255, 0, 0), (0, 0, 255)


def test_the_longest_chord_wins() -> None:
    bindings = Bindings(KEYS)
    assert bindings.match(frozenset({"z"}), "z") == "act"
    assert bindings.match(frozenset({"ctrl", "z"}), "z") == "undo"
    assert bindings.match(frozenset({"d", "z"}), "z") == "act"
    assert bindings.match(frozenset({"ctrl", "q"}), "q") is None


@pytest.mark.parametrize("table", [KEYS, PAD])
def test_the_defaults_have_no_conflicts_and_conflicts_are_found(table: dict[str, tuple[str, ...]]) -> None:
    assert Bindings(table).conflicts() == []
    first = next(iter(table.values()))[0]
    assert Bindings({**table, "extra": (first,)}).conflicts() == [(write(parse(first)), next(iter(table)), "extra")]


def test_settings_come_back_as_they_were(tmp_path: Path) -> None:
    made = user.Settings(font=150, scale=3)
    made.set_action("coinrun", 4, user.ActionSettings(name="hop"))
    made.keys["act"] = ("q",)
    assert user.save(made, tmp_path) == ""
    found, message = user.load(tmp_path)
    assert (found, message) == (made, "")
    assert [path.name for path in tmp_path.iterdir()] == [user.FILE]


BROKEN = (b"", b"{", b"\xff\xfe", b"[]", b'{"font": 9000}', b'{"unknown": 1}', b'{"version": 2}', b'{"keys": {"act": [1]}}')


@pytest.mark.parametrize("content", [*BROKEN, b" " * (user.MAX_BYTES + 1)])
def test_a_corrupt_settings_file_is_set_aside_with_a_message(tmp_path: Path, content: bytes) -> None:
    (tmp_path / user.FILE).write_bytes(content)
    found, message = user.load(tmp_path)
    assert found == user.Settings()
    assert "set aside" in message
    [aside] = tmp_path.iterdir()
    assert aside.name.startswith(f"{user.FILE}.broken-") and aside.read_bytes() == content
    assert user.load(tmp_path) == (user.Settings(), "")


def test_a_command_that_is_newer_than_the_settings_gets_its_key(tmp_path: Path) -> None:
    made = user.Settings()
    del made.keys["lab"]
    user.save(made, tmp_path)
    assert user.load(tmp_path)[0].keys["lab"] == KEYS["lab"]


def test_the_last_chord_that_pauses_is_never_taken(tmp_path: Path) -> None:
    made = user.Settings()
    made.keys["pause"] = ("p",)
    assert "last one that pauses" in made.refusal("keys", "p", world="coinrun")
    assert made.refusal("keys", "p", "pause") == made.refusal("keys", "q") == made.refusal("pad", "b") == ""
    made.set_action("coinrun", 5, user.ActionSettings(keys=("p",)))
    assert made.bindings("keys", "coinrun").match(frozenset({"p"}), "p") == "pause"
    made.keys["pause"] = ()  # a file may say so
    user.save(made, tmp_path)
    assert user.load(tmp_path)[0].keys["pause"] == KEYS["pause"]


def test_an_actions_own_key_takes_it_from_everybody_else_in_that_world_only(coinrun: genie.World) -> None:
    made = user.Settings()
    made.set_action("coinrun", 5, user.ActionSettings(keys=("x", "shift+f5")))
    down = frozenset({"x"})
    assert made.bindings("keys", "coinrun").match(down, "x") == "action:5"
    assert made.bindings("keys", "another").match(down, "x") == "act 2"
    table = ActionMap(coinrun)
    assert table.control("action:5") == "action:5" and table.control("action:99") is None
    assert table.choose(frozenset({"action:5", "right"})).id == 5
    assert table.choose(frozenset({"right", "jump"})).name == "right+jump"


def test_a_stroke_is_mirrored_cut_off_at_the_edge_and_taken_back() -> None:
    painting = Painting(np.zeros((8, 10, 3), np.uint8), mirror=True)
    painting.begin()
    painting.line((0, 2), (3, 2), RED, 2)
    red = (painting.frame == RED).all(-1)
    assert red[2:4, :5].all() and red[2:4, 5:].all() and red.sum() == 20
    assert np.array_equal(red, red[:, ::-1])
    painting.begin()
    painting.line((-3, 0), (50, 0), BLUE, 3)
    assert (painting.frame[0] == BLUE).all()
    assert painting.undo() and np.array_equal((painting.frame == RED).all(-1), red)
    assert painting.undo() and not painting.frame.any()
    assert not painting.undo()
    assert painting.redo() and np.array_equal((painting.frame == RED).all(-1), red)


def test_what_is_held_is_told_stroke_by_stroke_and_figures_never_are() -> None:
    before = np.zeros((8, 8, 3), np.uint8)
    painting = Painting(before)
    held = lambda: np.argwhere(edit.held).tolist() if (edit := painting.painted(before)) is not None else None  # noqa: E731
    assert held() is None
    painting.begin()
    painting.line((1, 1), (2, 1), RED, 1)
    assert held() == [[1, 1], [1, 2]]
    painting.begin()
    painting.stamp((5, 5), Stamp("figure", np.full((2, 2, 3), BLUE, np.uint8), np.ones((2, 2), np.bool_), moves=True))
    painting.hold = False
    painting.fill((7, 7), BLUE)
    painting.hold = True
    painting.line((7, 7), (7, 7), RED, 1)  # what comes last decides
    assert held() == [[1, 1], [1, 2], [7, 7]]
    painting.undo()
    assert held() == [[1, 1], [1, 2]] and not (painting.frame == BLUE).all(-1).any()
    painting.redo()
    assert held() == [[1, 1], [1, 2], [7, 7]] and (painting.frame == BLUE).all(-1).any()
    painting.replace(before)
    assert held() is None


def test_filling_stops_at_other_colours_and_a_cut_can_be_stamped() -> None:
    painting = Painting(np.zeros((8, 8, 3), np.uint8))
    painting.line((4, 0), (4, 7), RED, 1)
    painting.fill((1, 1), BLUE)
    assert (painting.frame[:, :4] == BLUE).all() and not painting.frame[:, 5:].any()
    stamp = painting.cut((4, 0), (3, 1))
    assert stamp.picture.tolist() == [[list(BLUE), list(RED)]] * 2
    painting.stamp((7, 7), stamp)
    assert painting.frame[6:, 6:].tolist() == [[list(BLUE), list(RED)]] * 2
    assert painting.pick((4, 3)) == RED


@given(st.integers(-20, 90), st.integers(-20, 90), st.integers(1, 16), st.booleans())
def test_no_stroke_leaves_the_frame(x: int, y: int, size: int, mirror: bool) -> None:
    painting = Painting(np.zeros((64, 64, 3), np.uint8), mirror=mirror)
    painting.line((x, y), (y, x), RED, size)
    assert painting.frame.shape == (64, 64, 3)


def test_the_stamps_hold_the_figure_the_coin_and_tiles(coinrun_easy: genie.World) -> None:
    looks = [prompt.frames[-1] for prompt in coinrun_easy.prompts]
    found = stamps(looks)
    assert [stamp.name for stamp in found].count("figure") == 1 and [stamp.name for stamp in found].count("tile") >= 8
    means = [stamp.picture[stamp.mask].mean(0) for stamp in found if stamp.name == "thing"]
    assert any(red > 200 and green > 150 and blue < 60 for red, green, blue in means)  # the coin
    colours = palette(looks)
    assert len(set(colours)) == len(colours) >= 10 and (0, 0, 0) in colours and (255, 255, 255) in colours


def test_any_picture_becomes_a_frame_cropped_or_whole(tmp_path: Path) -> None:
    picture = np.zeros((50, 200, 3), np.uint8)
    picture[:, :75] = 255
    Image.fromarray(picture).save(tmp_path / "wide.png")
    cropped = read_picture(tmp_path / "wide.png", (64, 64), "crop")
    whole = read_picture(tmp_path / "wide.png", (64, 64), "fit")
    assert cropped.shape == whole.shape == (64, 64, 3)
    assert not cropped[:, 8:].any() and not whole[:20].any() and whole[32, :20].min() > 240
    (tmp_path / "no.png").write_bytes(b"not a picture")
    with pytest.raises(genie.GenieError, match="cannot be read as a picture"):
        read_picture(tmp_path / "no.png", (64, 64))
    with pytest.raises(genie.GenieError, match="does not exist"):
        read_picture(tmp_path / "nothing.png", (64, 64))


def test_a_shift_is_measured_to_the_pixel() -> None:
    whole = np.random.default_rng(0).integers(0, 255, (80, 80, 3), np.uint8)
    frames = np.stack([whole[8 - t : 72 - t, 2 + 2 * t : 66 + 2 * t] for t in range(4)])  # the view goes right and up
    assert shift(frames[0], frames[1]) == (-2.0, 1.0)
    assert usual_motion(frames) == (-2.0, 1.0)
    assert shift(frames[0], frames[0]) == (0.0, 0.0)


def test_a_shift_is_measured_as_far_as_the_world_scrolls_and_one_that_is_wrong_does_not_count() -> None:
    blocks = np.random.default_rng(0).integers(0, 255, (16, 60, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    frames = np.stack([blocks[:, 30 * t : 30 * t + 96] for t in range(5)])
    assert shift(frames[0], frames[1], (16, 48)) == (-30.0, 0.0)
    assert shift(frames[0], frames[1], (16, 8)) != (-30.0, 0.0)
    frames = np.concatenate([frames, frames[:1]])  # one step leads all the way back
    assert usual_motion(frames, (16, 48)) == (-30.0, 0.0)


def test_motion_is_told_in_plain_words() -> None:
    assert in_words((5.0, 0.4), 8.0) == "the view goes left"
    assert in_words((-3.0, 2.0), 8.0) == "the view goes right and up"
    assert in_words((0.1, -0.2), 0.2) == "the view stays; nothing moves"
    assert names_for((-5.0, 0.0), 8.0) == ("right",)
    assert names_for((0.0, 0.0), 8.0) == ("forward", "still")
    assert names_for((0.0, 0.0), 0.2) == ("still",)


def test_drift_is_small_for_the_worlds_own_frames_and_large_for_noise(coinrun: genie.World) -> None:
    meter = DriftMeter([prompt.frames[-1] for prompt in coinrun.prompts])
    assert max(meter(prompt.frames[0]) for prompt in coinrun.prompts) < 0.3
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    assert 0.7 < meter(noise) <= 1


def test_a_newer_job_takes_the_place_of_an_older_one_and_long_ones_take_turns() -> None:
    queue, order = JobQueue(), []

    def long(name: str) -> Iterator[str]:
        try:
            for part in range(3):
                order.append(f"{name}{part}")
                yield name
        finally:
            order.append(f"{name} left")

    queue.add(Job(lambda: long("old"), "ahead"))
    queue.run_slice()
    queue.add(Job(lambda: long("new"), "ahead"))
    queue.add(Job(lambda: order.append("short")))
    while queue:
        queue.run_slice()
    assert order == ["old0", "old left", "new0", "short", "new1", "new2", "new left"]
    assert [job.key for job in queue.finish()] == ["", "ahead"]


def test_nothing_comes_between_the_slices_of_an_exclusive_job_and_errors_reach_the_one_who_asked() -> None:
    queue, order, told = JobQueue(), [], []

    def alone() -> Iterator[int]:
        for part in range(3):
            order.append(part)
            yield part

    def fails() -> None:
        raise genie.GenieError("no")

    queue.add(Job(alone, exclusive=True))
    queue.run_slice()
    assert queue.exclusive
    queue.add(Job(fails, on_error=told.append))
    queue.add(Job(lambda: order.append(9), on_done=lambda result: told.append("done")))
    while queue:
        queue.run_slice()
    queue.finish()
    assert order == [0, 1, 2, 9] and not queue.exclusive
    assert [str(entry) for entry in told] == ["no", "done"]


def test_what_goes_wrong_in_giving_work_up_is_told_and_other_work_goes_on() -> None:
    queue, told = JobQueue(), []

    def stubborn() -> Iterator[int]:
        try:
            yield 1
        finally:
            raise genie.GenieError("the way back is gone")

    queue.add(Job(stubborn, "re-roll", on_error=told.append, on_done=told.append))
    queue.run_slice()
    queue.cancel("re-roll")
    queue.add(Job(lambda: 2, on_done=told.append))
    while queue:
        queue.run_slice()
    queue.finish()
    assert [str(entry) for entry in told] == ["the way back is gone", "2"]


def test_an_error_in_a_callback_leaves_the_other_callbacks_of_its_batch() -> None:
    queue, told = JobQueue(), []

    def full(result: object) -> None:
        raise OSError("the disk is full")

    jobs = [Job(lambda: 1, on_done=full), Job(lambda: 2, on_done=told.append)]
    for job in jobs:
        queue.add(job)
        queue.run_slice()
    assert queue.finish() == jobs
    assert told == [2] and str(jobs[0].error) == "the disk is full"


def test_jobs_from_many_threads_are_all_done_once() -> None:
    queue, done = JobQueue(), []
    askers = [threading.Thread(target=lambda: [queue.add(Job(lambda: done.append(1))) for _ in range(200)]) for _ in range(4)]
    for asker in askers:
        asker.start()
    until = time.monotonic() + 10
    while len(done) < 800 and time.monotonic() < until:
        queue.run_slice()
    for asker in askers:
        asker.join()
    assert len(done) == 800


def test_beside_a_world_of_hard_mode_runs_the_hard_game(smoke_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("procgen")
    shown = {}
    for mode in ("easy", "hard"):
        path = Path(shutil.copytree(smoke_run / "world", tmp_path / mode))
        card = genie.load_world(path).data_card
        assert card is not None
        put_files(path, {DATA_CARD: card.model_copy(update={"recipe": card.recipe | {"mode": mode}}).model_dump_json().encode()})
        shown[mode] = [RealGame(genie.load_world(path), seed).frame for seed in range(4)]
    assert all((easy != hard).any() for easy, hard in zip(*shown.values(), strict=True))
    assert np.array_equal(shown["easy"][1], RealGame(genie.load_world(smoke_run / "world"), 1).frame)


@pytest.mark.parametrize("broken", [b"", b"junk", png(np.zeros((8, 2000, 3), np.uint8))], ids=["empty", "junk", "huge"])
def test_a_session_whose_newest_picture_is_broken_shows_its_prompt_in_the_library(coinrun: genie.World, broken: bytes) -> None:
    session = Session.start(coinrun)
    session.step("right")
    session.recording.add_key_frame((0, 1), broken)
    assert np.array_equal(newest_picture(session.recording), session.recording.prompt[-1])
    session.close()
