"""Every screen, opened and used by keyboard, by pad and by mouse, in a real window."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pygame
import pytest
from hands import BACK, PAD, RB, START, A, B, Player, Y, screen
from letters import faults
from PIL import Image

import genie
from genie.bundle import MANIFEST
from genie.sessions.reading import read_session
from genie.sessions.session import Session
from genie.world import installed_worlds
from player import capture, opening
from player import settings as user
from player.app import App
from player.launch import open_app
from player.motion import in_words, names_for
from player.screens.compare import Compare
from player.screens.edit import Edit
from player.screens.export import Export
from player.screens.lab import Lab
from player.screens.library import Library
from player.screens.play import Pause
from player.screens.studio import Studio
from player.screens.timeline import Timeline
from player.shelf import Shelf


def quiet(app: App) -> bool:
    """Whether nothing went wrong."""
    return not any("Error" in line or "Traceback" in line for line in app.log)


def test_home_opens_a_world_with_one_key(home: Player, coinrun: genie.World) -> None:
    home.app.worlds["coinrun"] = coinrun
    home.wait(lambda: home.app.screen.focus == "world:coinrun")
    card = home.app.screen.find("world:coinrun")
    assert any("64×64" in line for line in card.lines) and any("M parameters" in line for line in card.lines)
    assert any("licence" in line for line in card.lines)
    home.picture("home")
    home.key(pygame.K_RETURN)
    home.to("Play")
    home.frames(2)


def test_a_world_of_the_same_name_elsewhere_does_not_take_the_installed_ones_card(
    opened: Callable[..., App], coinrun: genie.World, tmp_path: Path
) -> None:
    other = genie.load_world(Path(shutil.copytree(coinrun.path, tmp_path / "mine")))
    app = opened(other)
    Player(app).to("Play")
    assert opening.world_for(app, "coinrun").path == coinrun.path
    assert opening.world_for(app, str(other.path)) is other
    assert opening.known_worlds(app) == [*installed_worlds(), str(other.path)]


def test_home_recovers_what_a_crash_left(home: Player, coinrun: genie.World, folders: Path) -> None:
    home.app.worlds["coinrun"] = coinrun
    session = Session.start(coinrun, seed=4, journal=folders / "running")
    for _ in range(7):
        session.step("right")
    shutil.copytree(folders / "running", home.app.shelf.place("journals") / "left-behind")  # as a killed process leaves it
    session.close()
    home.app.rebuild()
    home.press("recover:left-behind")
    home.to("Pause")
    assert (home.shown.index, home.shown.branch) == (7, 0)
    home.key(pygame.K_p)
    home.frames(2)
    home.app.close()
    [kept] = home.app.shelf.sessions()
    assert read_session(kept).frames >= 9
    assert home.app.shelf.crashed() == []


def test_home_says_when_an_unclosed_session_was_played_and_discards_it_when_sure(home: Player, coinrun: genie.World, folders: Path) -> None:
    session = Session.start(coinrun, seed=4, journal=folders / "running")
    for name in ("damaged", "other"):
        shutil.copytree(folders / "running", home.app.shelf.place("journals") / name)
    session.close()
    damaged = home.app.shelf.place("journals") / "damaged"
    (damaged / "head.json").write_text("{")
    os.utime(damaged / "log.bin", (0, 1_700_000_000))
    home.app.rebuild()
    assert time.strftime("%Y-%m-%d", time.localtime(1_700_000_000)) in home.app.screen.find("recover:damaged").label
    home.press("recover:damaged")
    home.wait(lambda: any("head.json" in line for line in home.app.log))
    home.press("discard:damaged")
    home.press("discard:other")  # another one: nothing is sure yet
    home.press("discard:damaged")
    assert damaged.is_dir()
    home.press("discard:damaged")
    assert [path.name for path in home.app.shelf.crashed()] == ["other"] and not damaged.exists()


def test_what_cannot_be_read_while_the_window_is_built_or_drawn_anew_is_told_once_and_the_loop_goes_on(home: Player) -> None:
    home.settled()
    journals = home.app.shelf.place("journals")
    journals.rmdir()
    journals.write_text("a file where the folder was")
    for _ in range(3):
        home.post(pygame.VIDEORESIZE, size=(800, 600), w=800, h=600)
    assert len([line for line in home.app.log if "File exists" in line and "Error" not in line]) == 1
    home.press("settings")
    home.to("SettingsScreen")
    home.key(pygame.K_ESCAPE)
    home.to("Home")


def test_a_world_whose_prompts_are_damaged_is_played_without_its_figures(
    coinrun: genie.World, opened: Callable[..., App], tmp_path: Path
) -> None:
    shutil.copytree(coinrun.path, tmp_path / "world")
    first = coinrun.prompts[0].frames
    world = genie.load_world(tmp_path / "world", backend="onnx")
    for file in (tmp_path / "world" / "prompts").iterdir():
        file.write_bytes(b"damaged")
    player = Player(opened(world, prompt=first))
    player.to("Play")
    player.wait(lambda: any("it is truncated" in line for line in player.app.log))
    player.frames(2)


def test_a_dropped_picture_opens_the_studio_and_a_dropped_session_is_gone_on_with(
    home: Player, coinrun: genie.World, tmp_path: Path
) -> None:
    home.app.worlds["coinrun"] = coinrun
    picture = coinrun.prompts[5].frames[-1]
    Image.fromarray(picture).save(tmp_path / "level.png")
    home.post(pygame.DROPFILE, file=str(tmp_path / "level.png"))
    home.to("Studio")
    assert np.array_equal(screen(home, Studio).painting.frame, picture)
    home.press("play")
    home.to("Play")
    home.settled()
    assert home.app.model.facts is not None and np.array_equal(home.app.model.facts.first, picture)
    session = Session.start(coinrun, seed=4)
    for _ in range(5):
        session.step("right")
    session.save(tmp_path / "take.session")
    last = session.frame
    session.close()
    home.post(pygame.DROPFILE, file=str(tmp_path / "take.session"))
    time.sleep(1.0)  # the window is busy elsewhere: what was opened stands still all the same
    home.to("Pause")
    assert home.shown.index == 5 and np.array_equal(home.shown.frame, last)
    home.post(pygame.DROPFILE, file=str(tmp_path / "letter.txt"))
    assert any("neither a session, a picture nor a world" in line for line in home.app.log)


def test_a_kept_session_that_is_opened_again_while_it_is_open_loses_nothing(home: Player, coinrun: genie.World) -> None:
    app = home.app
    app.worlds["coinrun"] = coinrun
    session = Session.start(coinrun, seed=4)
    for _ in range(3):
        session.step("right")
    path = app.shelf.place("sessions") / "kept.session"
    session.save(path)
    session.close()
    for _ in range(2):
        opening.open_session(app, path)
        home.wait(lambda: home.screen == "Pause" and app.model.session is not None)
        home.settled()
        index = home.shown.index
        home.key(pygame.K_p)
        home.wait(lambda index=index: home.shown.index >= index + 3)
    assert home.shown.index >= 9

    def broken(*arguments: object, **options: object) -> np.ndarray:
        raise RuntimeError("no more frames")

    playing = app.model.session
    assert playing is not None
    playing.step = broken  # type: ignore[method-assign]
    home.wait(lambda: app.model.error is not None)
    opening.open_session(app, path)
    home.wait(lambda: app.model.error is None)
    home.settled()
    assert home.shown.index >= 9
    app.close()
    assert app.shelf.sessions() == [path] and read_session(path).frames >= 9


def test_a_session_of_a_world_that_is_not_installed_says_to_open_that_first(home: Player, coinrun: genie.World, tmp_path: Path) -> None:
    session = Session.start(coinrun, seed=4)
    header = session.recording.header
    session.recording.header = header.model_copy(update={"world": header.world.model_copy(update={"name": "mine", "weights": "0" * 64})})
    session.save(tmp_path / "take.session")
    session.close()
    home.post(pygame.DROPFILE, file=str(tmp_path / "take.session"))
    home.wait(lambda: any("'mine', which is not installed: open that world first" in line for line in home.app.log))


def test_a_session_of_other_weights_is_watched_and_played_on_as_a_new_one(home: Player, coinrun: genie.World, tmp_path: Path) -> None:
    home.app.worlds["coinrun"] = coinrun
    session = Session.start(coinrun, seed=4)
    shown = [session.step("right") for _ in range(20)]
    session.seek(2)
    header = session.recording.header
    session.recording.header = header.model_copy(update={"world": header.world.model_copy(update={"weights": "0" * 64})})
    session.save(tmp_path / "take.session")
    session.close()
    home.post(pygame.DROPFILE, file=str(tmp_path / "take.session"))
    home.to("Pause")
    home.settled()
    assert home.shown.index == 2 and any("it can be watched" in line for line in home.app.log)
    home.key(pygame.K_p)
    home.wait(lambda: home.shown.index == 20)
    home.to("Pause")
    assert home.app.model.newest is not None and np.array_equal(home.app.model.newest.frame, shown[-1])
    assert home.app.model.driver == "replay"
    home.press("re-roll")
    home.wait(lambda: any("not gone on with" in line for line in home.app.log))
    home.down(pygame.K_BACKSPACE)
    home.wait(lambda: home.shown.index <= 17)
    home.up(pygame.K_BACKSPACE)
    home.settled()
    here = home.shown.frame
    home.press("play on")
    home.to("Play")
    home.frames(3)
    playing = home.app.model.session
    assert playing is not None and not playing.watched and np.array_equal(playing.recording.prompt[-1], here)
    assert len(playing.recording.prompt) == coinrun.engine.context


def test_a_window_that_loses_the_focus_while_a_world_opens_stands_still(home: Player, coinrun: genie.World) -> None:
    home.app.worlds["coinrun"] = coinrun
    home.app.work(lambda: time.sleep(0.3))
    opening.open_world(home.app, "coinrun")
    home.post(pygame.WINDOWFOCUSLOST)
    home.to("Pause")
    home.turns(0.2)
    assert home.shown.index == 0
    home.post(pygame.WINDOWFOCUSGAINED)
    opening.open_world(home.app, "coinrun")
    home.to("Play")
    home.frames(1)


def test_a_session_with_a_mark_and_no_frame_is_kept(coinrun: genie.World, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    session = Session.start(coinrun)
    shelf.keep(session)
    assert shelf.sessions() == []
    session.bookmark("the beginning")
    shelf.keep(session)
    session.close()
    [path] = shelf.sessions()
    assert read_session(path).tree[1].label == "the beginning"


def test_a_pad_alone_goes_everywhere(player: Player) -> None:
    player.button(START)
    player.to("Pause")
    player.focus("lab", pad=True)
    player.button(A)
    player.to("Lab")
    player.wait(lambda: len(screen(player, Lab).rolls) == 8)
    player.focus("action:2", pad=True)
    player.button(A)
    player.focus("name", pad=True)
    player.button(A)
    for number in (11, 11, 14):  # up, up: b; right: the next letter
        player.button(number)
    player.button(A)
    assert player.app.settings.worlds["coinrun"].actions[2].name == "ba"
    player.focus("bind:pad", pad=True)
    player.button(A)
    player.button(BACK, Y)
    assert player.app.settings.worlds["coinrun"].actions[2].pad == ("back+y",)
    player.button(B)
    player.to("Pause")
    player.focus("settings", pad=True)
    player.button(A)
    player.to("SettingsScreen")
    player.button(B)
    player.button(START)
    player.to("Play")
    player.post(pygame.JOYBUTTONDOWN, button=BACK, instance_id=0)
    player.post(pygame.JOYBUTTONDOWN, button=Y, instance_id=0)
    player.wait(lambda: player.shown.action == "action 2")  # the longest chord wins over Y alone
    player.post(pygame.JOYBUTTONUP, button=Y, instance_id=0)
    player.post(pygame.JOYBUTTONUP, button=BACK, instance_id=0)
    player.button(BACK, B)
    player.to("Timeline")
    player.button(B)
    player.to("Play")
    assert quiet(player.app)


def test_the_lab_says_what_an_action_does_and_calls_it_so(player: Player) -> None:
    player.key(pygame.K_F7)
    player.to("Lab")
    lab = screen(player, Lab)
    player.wait(lambda: len(lab.rolls) == 8 and quiet(player.app))
    for number, roll in lab.rolls.items():
        tile = next(widget for widget in lab.widgets if widget.key == f"action:{number}")
        assert in_words(roll.motion, roll.change) in tile.lines
    called = player.app.settings.worlds["coinrun"].actions if "coinrun" in player.app.settings.worlds else {}
    assert not called
    word = names_for(lab.rolls[2].motion, lab.rolls[2].change)[0]
    for number, name in ((2, word), (3, f"{word} #2")):
        lab.rolls[number] = lab.rolls[2]
        player.press(f"action:{number}")
        player.press(f"call:{word}")
        mine = player.app.settings.worlds["coinrun"].actions[number]
        assert mine.name == name
        assert mine.keys == ()  # the arrows are the named actions' here


def test_a_name_that_is_being_written_is_kept_when_the_mouse_or_the_shoulder_goes_elsewhere(player: Player) -> None:
    player.key(pygame.K_F7)
    lab = screen(player, Lab)
    player.press("action:2")
    player.press("name")
    player.write("hop")
    player.click("action:3")
    named = player.app.settings.worlds["coinrun"].actions
    assert named[2].name == "hop" and lab.captured is None and lab._chosen == 3
    player.press("name")
    player.write("o")
    player.button(RB)
    assert named[3].name == "o"
    player.press("name")
    player.write("x")
    player.key(pygame.K_ESCAPE)
    assert named[3].name == "o"


def test_in_a_world_without_named_keys_what_is_called_right_gets_the_right_arrow(
    coinrun: genie.World, opened: Callable[..., App], tmp_path: Path
) -> None:
    shutil.copytree(coinrun.path, tmp_path / "world")
    manifest = tmp_path / "world" / "world.json"
    manifest.write_text(manifest.read_text().replace('"recorded"', '"latent"'))
    player = Player(opened(genie.load_world(tmp_path / "world", backend="onnx")))
    player.to("Play")
    player.wait(lambda: player.app.model.newest is not None)
    player.key(pygame.K_F7)
    player.to("Lab")
    lab = screen(player, Lab)
    player.wait(lambda: len(lab.rolls) == len(lab.actions) and quiet(player.app))
    for number in (2, 3):
        lab.rolls[number] = replace(lab.rolls[number], motion=(-5.0, 0.0))
        player.press(f"action:{number}")
        player.press("call:right")
    called = player.app.settings.worlds["coinrun"].actions
    assert (called[2].name, called[2].keys) == ("right", ("right",))
    assert (called[3].name, called[3].keys) == ("right #2", ())
    player.key(pygame.K_ESCAPE)
    player.to("Play")
    player.down(pygame.K_RIGHT)
    player.wait(lambda: player.shown.action == "action 2")
    player.up(pygame.K_RIGHT)


def test_the_timeline_branches_rerolls_compares_labels_and_prunes(player: Player) -> None:
    player.down(pygame.K_RIGHT)
    player.frames(12)
    player.up(pygame.K_RIGHT)
    player.key(pygame.K_F4)
    timeline = screen(player, Timeline)
    player.wait(lambda: timeline._tree is not None)
    player.press("tree")
    for _ in range(8):
        player.key(pygame.K_LEFT)
    start = timeline._tree.index
    player.key(pygame.K_ESCAPE)
    player.press("re-roll")
    player.wait(lambda: len(timeline.seen.rows) == 4)
    rows = timeline.seen.rows
    assert [row.branch.kind for row in rows] == ["root", "re-roll", "re-roll", "re-roll"]
    assert len({row.branch.salt for row in rows}) == 4 and all(row.branch.start == start for row in rows[1:])
    assert all(np.array_equal(row.actions, rows[0].actions[start:]) for row in rows[1:])
    player.press("compare")
    player.press("tree")
    player.key(pygame.K_DOWN)
    player.wait(lambda: timeline._other_frame is not None)
    player.picture("timeline")
    player.key(pygame.K_ESCAPE)
    player.press("label")
    player.write("leap")
    player.key(pygame.K_RETURN)
    player.wait(lambda: timeline.seen.rows[1].branch.label == "leap")
    player.press("label")
    player.write("s")
    player.key(pygame.K_TAB)  # written down, and on
    player.wait(lambda: timeline.seen.rows[1].branch.label == "leaps")
    assert timeline.captured is None
    player.press("bookmark")
    player.wait(lambda: len(timeline.seen.bookmarks) == 1)
    player.press("prune")
    player.wait(lambda: len(timeline.seen.rows) == 3)
    assert not player.app.model.session.recording.branch(player.app.model.session.branch).pruned  # type: ignore[union-attr]
    player.press("export")
    export = screen(player, Export)
    player.press("kind:gif")
    player.wait(lambda: bool(export.written), seconds=40)
    with Image.open(export.written[0]) as film:
        assert film.size == (384, 384) and film.n_frames > 5 and film.info["duration"] == 80  # 12.5 frames/s, nearest to 15
    for choice, right in (("scale", 2), ("rate", 1)):
        player.focus(choice)
        for _ in range(right):
            player.key(pygame.K_RIGHT)
    player.press("kind:gif")
    player.wait(lambda: len(export.written) == 2, seconds=40)
    with Image.open(export.written[1]) as film:
        assert film.size == (128, 128) and film.info["duration"] == 100
    player.key(pygame.K_ESCAPE)
    player.press("here")
    player.to("Play")
    assert quiet(player.app)


def test_the_timeline_shows_every_branch_and_marks_the_one_that_is_played(player: Player) -> None:
    player.frames(3)
    player.pause()

    def grow() -> int:
        session = player.app.model.settle()
        numbers = session.reroll(100)
        player.app.model.seek(session.index, numbers[-10])
        session.step("right")
        player.app.model.show("")
        return numbers[-10]

    job = player.app.work(grow)
    player.wait(lambda: job.done)
    player.key(pygame.K_F4)
    timeline = screen(player, Timeline)
    player.wait(lambda: timeline._frame is not None)
    tree = timeline._tree
    assert tree is not None and len(tree.seen.rows) == 101
    assert (tree.branch.id, tree.index) == (job.result, player.shown.index)
    assert np.array_equal(timeline._frame, player.shown.frame)
    assert 0 <= tree.row - tree.first < tree.rect.height // tree.row_height(player.app.theme)
    assert all(row.thumbs for row in tree.seen.rows[:2])
    for _ in range(2):
        player.press("bookmark")
        player.settled()
    player.wait(lambda: [mark.label for mark in timeline.seen.bookmarks] == ["mark 1", "mark 2"])

    def hide() -> None:
        session = player.app.model.settle()
        for branch in session.tree:
            if branch.id == job.result:  # as a file may have it
                session.recording.change(branch.id, pruned=True)

    player.app.work(hide)
    timeline.refresh()
    player.wait(lambda: timeline.seen.hidden == 1)
    assert timeline._tree.branch.id == job.result


def test_an_edit_goes_into_the_world_and_its_persistence_is_told(player: Player) -> None:
    player.frames(3)
    player.key(pygame.K_F3)
    edit = screen(player, Edit)
    player.press("stamp:1")  # something that stands out, cut from the prompts
    assert edit.find("hold").shown() == "hold: yes"
    player.press("hold")
    player.press("canvas")
    for _ in range(6):
        player.key(pygame.K_UP)
    player.key(pygame.K_SPACE)
    player.key(pygame.K_ESCAPE)
    painted = edit.painting.frame.copy()
    assert not np.array_equal(painted, player.shown.frame)
    player.wait(lambda: edit._kept is not None and edit._kept.share is not None)
    player.press("check")
    player.wait(lambda: bool(edit.persistence))
    player.picture("edit")
    player.ctrl(pygame.K_z)
    assert np.array_equal(edit.painting.frame, edit._before)
    player.press("redo")
    assert np.array_equal(edit.painting.frame, painted)
    player.down(pygame.K_TAB)
    player.up(pygame.K_TAB)
    player.press("apply")
    player.to("Play")
    session = player.app.model.session
    assert session is not None
    branch = session.recording.branch(session.branch)
    assert branch.kind == "edit" and branch.stick == 5 and not branch.hold
    assert np.array_equal(session.recording.edits[branch.id], painted)
    player.frames(8)
    reached = player.shown.index
    player.down(pygame.K_BACKSPACE)
    player.wait(lambda: player.shown.index < reached - 2)
    player.up(pygame.K_BACKSPACE)
    player.down(pygame.K_RIGHT)
    player.frames(2)
    player.up(pygame.K_RIGHT)
    player.down(pygame.K_TAB)
    player.wait(lambda: any("30 frames after the edit" in line for line in player.app.log))
    player.up(pygame.K_TAB)
    assert session.recording.branch(session.branch).kind == "branch"  # on the way that was taken instead, too
    assert quiet(player.app)


def test_an_edit_is_of_the_frame_that_was_shown_also_where_a_step_was_on_its_way(player: Player) -> None:
    session, begun, go_on = player.app.model.session, threading.Event(), threading.Event()
    assert session is not None
    step = session.step

    def late(*arguments: object, **options: object) -> np.ndarray:
        begun.set()
        assert go_on.wait(10)
        return step(*arguments, **options)  # type: ignore[arg-type]

    session.step = late  # type: ignore[method-assign]
    player.wait(begun.is_set)
    index = player.shown.index
    player.key(pygame.K_F3)
    edit = screen(player, Edit)
    go_on.set()
    player.settled()
    assert player.shown.index == index + 1
    edit.painting.frame[:8] = 255
    painted = edit.painting.frame.copy()
    player.press("apply")
    player.to("Play")
    [branch] = [branch for branch in session.tree if branch.kind == "edit"]
    assert branch.start == index
    assert np.array_equal(session.recording.edits[branch.id], painted)


def test_x_and_y_pick_a_colour_and_change_the_tool_on_a_keyboard_too(player: Player) -> None:
    player.pause()
    player.press("edit")
    edit = screen(player, Edit)
    player.press("canvas")
    x, y = edit.find("canvas").at
    edit.painting.frame[y, x] = (1, 2, 3)
    player.key(pygame.K_x, text="x")
    assert edit._tools.colour == (1, 2, 3)
    player.key(pygame.K_y, text="y")
    player.key(pygame.K_y, text="y")
    assert edit._tools.tool == "pick" and edit.captured is not None


def test_the_studio_paints_loads_and_looks_ahead(player: Player, tmp_path: Path) -> None:
    player.pause()
    player.press("studio")
    studio = screen(player, Studio)
    player.wait(lambda: studio.ahead is not None and len(studio.ahead.frames) == 8)
    assert studio.ahead.names == ("noop", "left", "right", "jump", "left+jump", "right+jump")
    assert len(studio.painting.source.frames) == 4 and not studio.painted()  # the shipped clip
    before = studio.ahead
    canvas = studio.find("canvas")
    at = (studio.body.x + canvas.rect.x + 30, studio.body.y + canvas.rect.y + 30 - studio.scroll)
    player.post(pygame.MOUSEBUTTONDOWN, button=1, pos=at)
    player.post(pygame.MOUSEMOTION, pos=(at[0] + 60, at[1] + 40), buttons=(1, 0, 0), rel=(60, 40))
    player.post(pygame.MOUSEBUTTONUP, button=1, pos=at)
    painted = studio.painted()
    assert painted is not None and painted.held.any()
    player.wait(lambda: studio.ahead is not before and len(studio.ahead.frames) == 8)
    player.picture("studio")
    picture = np.zeros((40, 80, 3), np.uint8)
    picture[:, 40:] = 200
    Image.fromarray(picture).save(tmp_path / "mine.png")
    free = threading.Event()
    player.app.work(lambda: free.wait(10))
    player.post(pygame.DROPFILE, file=str(tmp_path / "mine.png"))
    assert studio.painting.source.name != "mine"  # it is read beside the window, which does not wait
    free.set()
    player.wait(lambda: studio.painting.source.name == "mine")
    frame = studio.painting.frame.copy()
    assert (frame[:, :8] < 30).all() and (frame[:, -8:] > 170).all()  # cropped to a square around the middle
    player.press("play")
    player.to("Play")
    player.wait(lambda: player.shown.index >= 1)
    facts = player.app.model.facts
    assert facts is not None and np.array_equal(facts.first, frame)  # what was painted is the state
    assert quiet(player.app)


def test_what_is_painted_in_the_studio_is_held_and_a_reset_comes_back_to_it(player: Player, coinrun: genie.World) -> None:
    player.pause()
    player.press("studio")
    studio = screen(player, Studio)
    clip = coinrun.prompts[0].frames
    figure = next(number for number, stamp in enumerate(studio._tools.stamps) if stamp.name == "figure")
    for stamp, right in ((f"stamp:{figure}", 12), ("stamp:1", 24)):
        player.press(stamp)
        player.press("canvas")
        canvas = studio.find("canvas")
        canvas.at = (clip.shape[2] // 2 + right, clip.shape[1] // 2 - 16)
        player.key(pygame.K_SPACE)
        player.key(pygame.K_ESCAPE)
    frame, painted = studio.painting.frame.copy(), studio.painted()
    assert painted is not None and np.array_equal(painted.frame, frame)
    changed = (frame != clip[-1]).any(-1)
    assert painted.held.any() and (changed & ~painted.held).any()
    before = studio.ahead
    player.wait(lambda: studio.ahead is not None and studio.ahead is not before and len(studio.ahead.frames) == 8)
    assert studio.ahead is not None
    player.press("play")
    player.to("Play")
    player.frames(3)
    session = player.app.model.session
    assert session is not None and np.array_equal(session.recording.prompt, clip)
    assert np.array_equal(session.frame_at(0), frame)
    assert [(branch.kind, branch.hold, branch.start) for branch in session.tree] == [("root", False, 0), ("edit", True, 0)]
    assert np.array_equal(session.recording.parts[1], painted.held)
    player.pause()
    player.ctrl(pygame.K_r)
    player.wait(lambda: player.shown.index == 0)
    assert np.array_equal(player.shown.frame, frame)
    ahead = session.ahead(studio.ahead.names[1], 8)
    seen = np.stack([frames[1] for frames in studio.ahead.frames])
    assert np.abs(ahead.astype(int) - seen).mean() < 4  # a batch rounds otherwise than a lone rollout
    assert quiet(player.app)


def test_a_painting_that_was_left_is_there_again(player: Player) -> None:
    player.pause()
    for open_it, kind in (("studio", Studio), ("edit", Edit)):
        player.press(open_it)
        painting = screen(player, kind).painting
        painting.begin()
        painting.line((3, 3), (9, 9), (1, 2, 3), 2)
        painted = painting.frame.copy()
        player.key(pygame.K_ESCAPE)
        player.to("Pause")
        player.press(open_it)
        assert np.array_equal(screen(player, kind).painting.frame, painted)
        player.key(pygame.K_ESCAPE)
        player.to("Pause")
    player.key(pygame.K_PERIOD)  # another frame: nothing is painted there
    player.settled()
    player.press("edit")
    edit = screen(player, Edit)
    assert np.array_equal(edit.painting.frame, edit._before)


def test_an_edit_is_not_put_into_another_session_that_was_opened_meanwhile(player: Player, coinrun: genie.World) -> None:
    player.pause()
    player.press("edit")
    edit = screen(player, Edit)
    edit.painting.begin()
    edit.painting.line((3, 3), (9, 9), (1, 2, 3), 2)
    player.app.work(lambda: opening.start(player.app, coinrun, None, 5))
    player.press("apply")
    player.wait(lambda: any("another session was opened" in line for line in player.app.log))
    session = player.app.model.session
    assert session is not None and session.seed == 5 and len(session.tree) == 1


def test_another_fit_reads_the_picture_again(player: Player, tmp_path: Path) -> None:
    picture = np.zeros((40, 120, 3), np.uint8)
    picture[:, 50:70] = 200
    Image.fromarray(picture).save(tmp_path / "wide.png")
    Image.fromarray(picture).save(tmp_path / "level-00.png")  # as a shipped prompt is called
    player.pause()
    player.press("studio")
    studio = screen(player, Studio)
    player.post(pygame.DROPFILE, file=str(tmp_path / "wide.png"))
    player.wait(lambda: studio.painting.source.name == "wide")
    cropped = studio.painting.frame.copy()
    player.focus("fit")
    player.key(pygame.K_RIGHT)
    player.wait(lambda: not np.array_equal(studio.painting.frame, cropped))
    assert (studio.painting.frame[:4] < 30).all()  # the whole picture, with bands above and below
    player.post(pygame.DROPFILE, file=str(tmp_path / "level-00.png"))
    player.wait(lambda: studio.painting.source.name == "level-00")


def test_a_re_roll_says_how_far_it_is_and_stops_with_what_is_done(player: Player) -> None:
    player.frames(40)
    player.pause()
    player.press("branches")
    timeline = screen(player, Timeline)
    player.settled()
    timeline._tree.choose(0, 2)
    player.press("re-roll")
    player.wait(lambda: any("Re-rolling: take 1 of 3, frame" in getattr(widget, "text", "") for widget in timeline.widgets))
    player.press("stop")
    player.settled()
    session = player.app.model.session
    assert session is not None
    made = session.tree[1:]
    assert len(made) <= 2 and all(branch.kind == "re-roll" for branch in made)
    assert timeline.find("re-roll") and not any(widget.key == "stop" for widget in timeline.widgets)


def test_the_choices_in_the_menu_say_what_is_so(player: Player) -> None:
    player.pause()
    pause = screen(player, Pause)
    player.ctrl(pygame.K_m)
    player.wait(lambda: "policy" in pause.find("driver").shown())
    player.key(pygame.K_t)
    player.wait(lambda: player.app.model.mode in pause.find("mode").shown() and player.app.model.mode != "real time")


def test_the_library_goes_on_to_older_sessions(home: Player, coinrun: genie.World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("player.screens.library.MOST", 2)
    session = Session.start(coinrun)
    session.step("right")
    for number in range(5):
        session.save(home.app.shelf.place("sessions") / f"take-{number}.session")
    session.close()
    home.press("library")
    library = screen(home, Library)
    for shown in (2, 4, 5):
        home.wait(lambda shown=shown: library.kept is not None and len(library.kept) == shown)
        if shown < 5:
            home.press("older")
    assert not any(widget.key == "older" for widget in library.widgets)


def test_arrows_leave_a_text_alone_on_a_keyboard_and_choose_letters_on_a_pad(player: Player) -> None:
    player.pause()
    player.press("lab")
    player.press("name")
    lab = screen(player, Lab)
    player.write("hop")
    for key in (pygame.K_LEFT, pygame.K_UP, pygame.K_RIGHT):
        player.key(key)
    assert lab.find("name").value == "hop"
    player.button(PAD["up"])
    assert lab.find("name").value == "hoq"


def test_a_key_that_a_world_has_for_an_action_is_told_when_it_is_given_to_a_command(player: Player) -> None:
    player.app.settings.set_action("coinrun", 2, user.ActionSettings(keys=("k",)))
    player.pause()
    player.press("settings")
    player.press("bind:bookmark")
    player.key(pygame.K_k)
    player.wait(lambda: any("In coinrun K goes on meaning an action" in line for line in player.app.log))


def test_the_studio_changes_to_another_world_that_is_known(player: Player, tmp_path: Path) -> None:
    other = Path(shutil.copytree(installed_worlds()["coinrun"], tmp_path / "cave"))
    manifest = json.loads((other / MANIFEST).read_text())
    (other / MANIFEST).write_text(json.dumps({**manifest, "name": "cave"}))
    player.app.worlds["cave"] = genie.load_world(other)
    player.pause()
    player.press("studio")
    assert screen(player, Studio).find("world").shown().endswith("‹ coinrun ›")
    for name in [*list(installed_worlds())[1:], "cave"]:
        player.press("world")
        player.wait(lambda name=name: isinstance(player.app.screen, Studio) and player.app.screen._world.name == name)  # type: ignore[misc]
    player.press("play")
    player.to("Play")
    player.settled()
    assert player.app.model.world is not None and player.app.model.world.name == "cave"


def test_undo_in_the_studio_brings_a_prompts_clip_and_name_back(player: Player, coinrun: genie.World) -> None:
    player.pause()
    player.press("studio")
    studio = screen(player, Studio)
    player.press(f"prompt:{coinrun.prompts[3].name}")
    for undone, prompt in (("undo", coinrun.prompts[0]), ("redo", coinrun.prompts[3])):
        player.press(undone)
        assert np.array_equal(studio.painting.source.frames, prompt.frames) and len(prompt.frames) == 4
        assert np.array_equal(studio.painting.frame, prompt.frames[-1]) and not studio.painted()
        assert studio.find(f"prompt:{prompt.name}").on


def test_compare_runs_the_real_game_beside_the_world(player: Player) -> None:
    player.pause()
    player.press("home")
    player.press("compare")
    compare = screen(player, Compare)
    player.wait(lambda: compare.game is not None and len(compare.game.psnr) >= 2)
    game = compare.game
    assert game.psnr[0] > 25  # the first frame is close
    assert player.shown.frame.shape == game.frame.shape
    player.down(pygame.K_RIGHT)
    player.frames(8)
    player.up(pygame.K_RIGHT)
    player.picture("compare")
    player.key(pygame.K_BACKSPACE)
    assert any("only runs forward" in line for line in player.app.log)
    player.key(pygame.K_ESCAPE)
    player.key(pygame.K_ESCAPE)
    player.to("Home")
    assert quiet(player.app)


@pytest.mark.parametrize("device", ["keyboard", "pad"])
def test_compare_is_paused_gone_on_with_and_left_with_one_device_alone(home: Player, coinrun: genie.World, device: str) -> None:
    app = home.app
    app.worlds["coinrun"] = coinrun

    def press(key: int, button: int) -> None:
        home.key(key) if device == "keyboard" else home.button(button)
        home.app.turn()

    home.press("compare")
    home.to("Compare")
    home.wait(lambda: screen(home, Compare).game is not None)
    for _ in range(2):
        home.wait(lambda: not app.model.paused)
        press(pygame.K_p, START)
        assert app.model.paused
        press(pygame.K_p, START)
    press(pygame.K_p, START)
    press(pygame.K_RETURN, A)
    assert not app.model.paused
    home.frames(2)
    press(pygame.K_ESCAPE, B)
    assert app.model.paused and home.screen == "Compare"
    press(pygame.K_ESCAPE, B)
    home.to("Home")
    assert app.model.paused


def test_compare_says_what_is_missing(player: Player, coinrun: genie.World, monkeypatch: pytest.MonkeyPatch) -> None:
    player.pause()
    player.press("home")
    player.app.worlds["coinrun"] = coinrun
    monkeypatch.setitem(__import__("sys").modules, "procgen", None)  # as if it were not installed
    player.press("compare")
    player.to("Compare")
    player.wait(lambda: "pip install --no-deps -r requirements-procgen.txt" in screen(player, Compare)._failure)
    player.key(pygame.K_RETURN)
    assert player.app.model.paused  # the session from before is not played unseen
    player.key(pygame.K_ESCAPE)
    player.to("Home")


def test_the_library_shows_opens_exports_and_removes(player: Player) -> None:
    player.frames(20)
    player.pause()
    player.press("save")
    player.wait(lambda: any("Saved to slot 1" in line for line in player.app.log))
    player.press("home")
    player.press("library")
    library = screen(player, Library)
    player.wait(lambda: library.kept is not None)
    [kept] = library.kept
    assert kept.picture is not None and kept.lines[0] == "slot-1"
    player.click("session:slot-1.session")
    player.picture("library")
    player.press("export")
    export = screen(player, Export)
    player.press("kind:npz")
    player.wait(lambda: bool(export.written))
    with np.load(export.written[0], allow_pickle=False) as arrays:
        assert len(arrays["action"]) == read_session(kept.path).frames
    player.key(pygame.K_ESCAPE)
    player.press("remove")
    player.press("remove")
    assert not kept.path.exists()
    assert quiet(player.app)


def test_keys_are_set_with_a_conflict_check_and_kept(home: Player) -> None:
    home.press("settings")
    home.press("bind:bookmark")
    home.down(pygame.K_LSHIFT)
    home.key(pygame.K_F5)
    home.up(pygame.K_LSHIFT)
    assert home.app.settings.keys["bookmark"] == ("ctrl+b", "shift+f5")
    home.press("bind:bookmark")
    home.key(pygame.K_F9)
    assert home.app.settings.keys["bookmark"] == ("ctrl+b", "shift+f5", "f9")
    assert home.app.settings.keys["load"] == ()
    assert any("F9 was “quick load”" in line for line in home.app.log)
    home.press("bind:bookmark")
    home.key(pygame.K_DELETE)
    assert home.app.settings.keys["bookmark"] == ("ctrl+b", "shift+f5")
    home.press("bind:pause")
    home.key(pygame.K_ESCAPE)
    assert home.app.settings.keys["pause"] == ("p", "escape")
    kept, message = user.load()
    assert message == "" and kept.keys == home.app.settings.keys
    home.press("defaults")
    assert home.app.settings.keys["load"] == ("f9",)


def test_pause_keeps_its_last_key_and_a_chord_of_too_many_keys_is_refused(home: Player) -> None:
    settings = home.app.settings
    home.press("settings")
    for _ in range(2):
        home.press("bind:pause")
        home.key(pygame.K_DELETE)
    assert settings.keys["pause"] == ("p",)
    assert any("Pause keeps its last one" in line for line in home.app.log)
    home.press("bind:bookmark")
    home.key(pygame.K_p)
    assert settings.keys["pause"] == ("p",) and settings.keys["bookmark"] == ("ctrl+b",)
    assert any("P is the last one that pauses" in line for line in home.app.log)
    home.press("bind:bookmark")
    many = (
        pygame.K_CAPSLOCK,
        pygame.K_PRINTSCREEN,
        pygame.K_SCROLLLOCK,
        pygame.K_PAGEDOWN,
        pygame.K_PAGEUP,
        pygame.K_KP_ENTER,
        pygame.K_NUMLOCKCLEAR,
    )
    for key in many:
        home.down(key)
    for key in many:
        home.up(key)
    assert settings.keys["bookmark"] == ("ctrl+b",) and any("press fewer together" in line for line in home.app.log)
    kept, message = user.load()
    assert message == "" and kept.keys == settings.keys


@pytest.mark.parametrize("device", ["keyboard", "gamepad"])
def test_a_pad_gets_out_of_a_binding_by_waiting(home: Player, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "PATIENCE", 1.1)
    before = home.app.settings.model_copy(deep=True)
    home.press("settings")
    home.focus("device")
    if device == "gamepad":
        home.button(PAD["right"])
    home.focus("bind:save")
    home.button(A)
    shown = home.app.screen
    seconds = [shown.find("bind:save").label]
    if device == "keyboard":
        home.button(B)
        assert any("That is the gamepad; the keyboard is being set" in line for line in home.app.log)
    home.wait(lambda: seconds[-1] != (label := shown.find("bind:save").label) and not seconds.append(label) and "quick save" in label)
    assert [label[-4:-1] for label in seconds[:-1]] == ["2 s", "1 s"]
    assert shown.listener is None and home.app.settings == before
    home.button(B)
    home.to("Home")


def test_a_corrupt_settings_file_is_told_and_not_fatal(folders: Path) -> None:
    (folders / "config").mkdir()
    (folders / "config" / user.FILE).write_text("{")
    hands = Player(open_app())
    assert any("set aside as settings.json.broken" in line for line in hands.app.log)
    hands.press("settings")
    hands.app.close()


@pytest.mark.parametrize("size", [(1120, 800), (640, 480)])
def test_a_message_hides_no_focused_widget(home: Player, size: tuple[int, int]) -> None:
    app = home.app
    app._open_window(size)
    app.rebuild()
    home.press("settings")
    home.settled()
    keys = [widget.key for widget in app.screen.widgets if widget.focusable and widget.enabled]
    for key in keys:
        app.screen.set_focus(key)
        app._toasts = []
        app.draw()
        where = app.screen.focused_rect
        assert where is not None
        where = where.clip(app.screen.body)
        alone = app.picture()
        app.say("saved as a_session_with_a_rather_long_name.genie")
        app.draw()
        told = app.picture()
        assert not np.array_equal(told, alone), key  # it is told somewhere
        assert np.array_equal(
            told[where.top : where.bottom, where.left : where.right], alone[where.top : where.bottom, where.left : where.right]
        ), key


@pytest.mark.parametrize("size", [(1120, 800), (640, 480)])
def test_large_letters_leave_everything_within_reach(player: Player, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """At 200 % no widget is out of reach, and no text is cut, beyond an edge or over another one, on any screen."""
    app = player.app
    app._open_window(size)
    app.settings.font = 200
    app.apply_settings()
    app.rebuild()

    def check() -> None:
        player.settled()
        check_within_reach(player)
        shown, app._toasts = app.screen, []
        shown.scroll = 0
        for page in range(20):
            player.picture(f"large_{size[0]}_{type(shown).__name__.lower()}_{page}")
            assert faults(shown, monkeypatch) == [], f"{type(shown).__name__}, page {page}"
            if shown.scroll >= shown._bottom - shown.body.height:
                break
            shown.page(1)

    def visit(key: str, then: Callable[[], object] = lambda: None) -> None:
        under = app.screen
        player.press(key)
        player.wait(lambda: app.screen is not under)
        player.settled()
        then()
        check()
        player.key(pygame.K_ESCAPE)

    def branches() -> None:
        for key in ("re-roll", "compare", "bookmark"):
            player.press(key)
            player.settled()
        visit("export")

    player.key(pygame.K_F10)
    player.frames(6)
    check()
    player.pause()
    check()
    visit("branches", branches)
    visit("edit")
    visit("lab", lambda: player.wait(lambda: len(screen(player, Lab).rolls) == 8))
    visit("studio", lambda: (player.wait(lambda: screen(player, Studio).ahead is not None), visit("load")))
    visit("settings")
    player.press("save")
    player.press("home")
    check()
    visit("library", lambda: player.press("session:slot-1.session"))
    visit("diagnostics")
    visit("help")
    player.press("compare")
    player.wait(lambda: screen(player, Compare).game is not None)
    player.frames(2)
    check()


def check_within_reach(player: Player) -> None:
    """Every widget gets the focus with Tab, lies inside the width, and is brought into view."""
    shown = player.app.screen
    for widget in [widget for widget in shown.widgets if widget.focusable and widget.enabled]:
        shown.set_focus(widget.key)
        assert widget.rect.left >= 0 and widget.rect.right <= shown.body.width, widget.key
        assert widget.rect.bottom - shown.scroll > 0 and widget.rect.top - shown.scroll < shown.body.height, widget.key
    player.app.draw()


def test_the_report_is_copied_and_saved_with_one_press(player: Player) -> None:
    player.frames(2)
    player.pause()
    player.press("home")
    player.press("diagnostics")
    player.press("copy")
    [path] = player.app.shelf.place("reports").glob("*.txt")
    text = path.read_text()
    assert "world coinrun" in text and "seed 1" in text and str(Path.home()) not in text
    assert pygame.scrap.get_text() == text


def test_full_screen_and_screenshot(player: Player) -> None:
    player.key(pygame.K_F11)
    assert player.app.settings.full_screen
    player.frames(2)
    player.key(pygame.K_F12)
    [path] = player.app.shelf.place("screenshots").glob("*.png")
    with Image.open(path) as shot:
        assert shot.size == player.app.surface.get_size()
    player.key(pygame.K_F11)
    assert not player.app.settings.full_screen


def test_a_tour_through_every_screen_leaves_nothing_behind(player: Player) -> None:
    spec = importlib.util.spec_from_file_location("player_soak", Path(__file__).parents[2] / "benchmarks" / "player_soak.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["player_soak"] = module  # its dataclass looks itself up
    spec.loader.exec_module(module)
    before = threading.active_count()
    found = module.soak(player.app, seconds=0.0, rounds=1)  # every visit once; `python benchmarks/player_soak.py` does it for five minutes
    assert found.errors == [] and found.threads <= before + 2
    assert set(found.screens) >= {"Home", "Studio", "Play", "Pause", "Timeline", "Edit", "Lab", "Compare", "Library", "Export",
                                  "SettingsScreen", "Diagnostics", "Help", "Files"}  # fmt: skip
