"""The player on a desktop: a real window, a real keyboard and mouse, a gamepad that SDL takes for one. See `desktop`."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pygame
import pytest
from desktop import missing
from hands import B, Gamepad, Keyboard, screen
from PIL import Image

import genie
from player.app import App
from player.screens.compare import Compare
from player.screens.edit import Edit
from player.screens.export import Export
from player.screens.lab import Lab
from player.screens.library import Library
from player.screens.play import Play
from player.screens.studio import Studio
from player.screens.timeline import Timeline

Opened = Callable[..., App]


@pytest.mark.parametrize("device", [Keyboard, Gamepad])
def test_every_screen_is_reached_and_used_with_one_device_alone(device: type[Keyboard], opened: Opened, coinrun: genie.World) -> None:
    app = opened()
    app._open_window((800, 600))  # the X server draws without a graphics card
    app.rebuild()
    app.worlds["coinrun"] = coinrun
    hands, name = device(app), device.__name__.lower()

    def look(expected: str) -> None:
        assert hands.screen == expected
        hands.picture(f"{name}_{expected.lower()}")

    hands.wait(lambda: app.screen.focus == "world:coinrun")
    look("Home")
    hands.press("world:coinrun")
    hands.to("Play")
    hands.act(4)
    assert hands.shown.action == "right"
    look("Play")

    hands.pause()
    look("Pause")
    hands.press("branches")
    timeline = screen(hands, Timeline)
    hands.wait(lambda: timeline.seen is not None and any(widget.key == "tree" for widget in timeline.widgets))
    hands.press("tree")
    hands.back()  # out of the tree
    look("Timeline")
    hands.press("export")
    export = screen(hands, Export)
    hands.press("kind:ndjson")
    hands.wait(lambda: bool(export.written))
    look("Export")
    hands.back()
    hands.back()

    hands.press("edit")
    edit = screen(hands, Edit)
    hands.wait(lambda: edit._kept is not None)
    hands.press("stamp:1")
    hands.paint()
    painted = edit.painting.frame.copy()
    assert not np.array_equal(painted, hands.shown.frame)
    look("Edit")
    hands.press("apply")
    hands.to("Play")
    session = app.model.session
    assert session is not None
    assert [np.array_equal(picture, painted) for picture in session.recording.edits.values()] == [True]

    hands.pause()
    hands.press("lab")
    hands.wait(lambda: len(screen(hands, Lab).rolls) == 8)
    hands.press("action:2")
    look("Lab")
    hands.back()
    hands.press("studio")
    studio = screen(hands, Studio)
    hands.wait(lambda: studio.ahead is not None)
    hands.press("prompt:level-03")
    hands.paint()
    first = studio.painting.frame.copy()
    hands.wait(lambda: studio.ahead is not None and len(studio.ahead.frames) == 8)
    look("Studio")
    hands.press("load")
    look("Files")
    hands.back()
    hands.press("play")
    hands.to("Play")
    hands.frames(1)
    assert app.model.facts is not None and np.array_equal(app.model.facts.first, first)

    hands.pause()
    hands.press("settings")
    hands.press("safe_colours")
    assert not app.settings.safe_colours
    look("SettingsScreen")
    hands.back()
    hands.press("home")
    hands.settled()
    hands.press("library")
    hands.wait(lambda: screen(hands, Library).kept is not None)
    look("Library")
    hands.back()
    hands.press("diagnostics")
    hands.press("copy")
    look("Diagnostics")
    hands.back()
    hands.press("help")
    look("Help")
    hands.back()
    hands.press("compare")
    hands.wait(lambda: screen(hands, Compare).game is not None)
    hands.act(3)
    look("Compare")
    hands.back()
    hands.back()
    hands.to("Home")
    hands.press("leave")
    assert app._leaving
    assert not any("Error" in line or "Traceback" in line for line in app.log)
    hands.close()


def playing(opened: Opened, coinrun: genie.World) -> Keyboard:
    """Hands on a world that has begun to move."""
    hands = Keyboard(opened(coinrun, seed=1))
    hands.wait(lambda: isinstance(hands.app.screen, Play) and hands.shown.index >= 1)
    return hands


def test_the_mouse_presses_and_draws(opened: Opened, coinrun: genie.World) -> None:
    hands = playing(opened, coinrun)
    hands.pause()
    hands.click("edit")
    edit = screen(hands, Edit)
    hands.wait(lambda: edit._kept is not None)
    hands.click("colour:2")
    canvas = edit.find("canvas")
    x, y = edit.body.x + canvas.rect.x + 60, edit.body.y + canvas.rect.y + 60
    hands.drag((x, y), (x + 90, y))
    changed = (edit.painting.frame != edit._before).any(axis=-1)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert len(rows) <= 2 and len(columns) >= 10  # a stroke from left to right
    hands.click("apply")
    hands.to("Play")
    hands.close()


def test_a_window_that_loses_the_keyboard_stands_still(opened: Opened, coinrun: genie.World) -> None:
    hands = playing(opened, coinrun)
    hands.lose_focus()
    hands.to("Pause")
    hands.close()


def test_a_picture_is_pasted_from_the_clipboard(
    opened: Opened, coinrun: genie.World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[20:40, 10:50] = (250, 200, 40)
    file = tmp_path / "a level.png"
    Image.fromarray(picture).save(file)
    app = opened(coinrun, seed=1)
    hands = Keyboard(app)
    hands.wait(lambda: isinstance(app.screen, Play) and hands.shown.index >= 1)
    hands.pause()
    hands.press("studio")
    studio = screen(hands, Studio)
    if missing() or shutil.which("xclip") is None:  # a tool that gives the picture, in place of the one that asks the X server
        tool = tmp_path / "xclip"
        tool.write_text(f"#!/bin/sh\ncat {shlex.quote(str(file))}\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    else:
        subprocess.run(["xclip", "-selection", "clipboard", "-t", "image/png", "-i", file], check=True)
    hands.ctrl(pygame.K_v)
    hands.wait(lambda: np.array_equal(studio.painting.frame, picture))
    hands.ctrl(pygame.K_z)
    assert not np.array_equal(studio.painting.frame, picture)

    pygame.scrap.put_text(file.as_uri())  # the file was copied
    hands.press("paste")
    hands.wait(lambda: np.array_equal(studio.painting.frame, picture))

    pygame.scrap.put_text("no picture")  # the player itself is asked for it, and answers
    monkeypatch.setenv("PATH", os.environ["PATH"].removeprefix(f"{tmp_path}{os.pathsep}"))
    hands.press("paste")
    hands.wait(lambda: any("no picture in the clipboard" in line for line in app.log))
    app.log.clear()
    monkeypatch.setenv("PATH", "")
    hands.press("paste")
    told = "no picture in the clipboard that can be read (on Linux this needs wl-paste or xclip)"
    hands.wait(lambda: any(told in line for line in app.log))
    assert np.array_equal(studio.painting.frame, picture)
    hands.close()


def test_a_pad_is_heard_in_every_window_that_is_opened_after_another(opened: Opened) -> None:
    for _ in range(5):  # SDL used to lose the pads with the fourth
        app = opened()
        Gamepad(app).button(B)
        app.close()


def test_a_pad_takes_single_steps_in_a_direction_while_the_world_is_paused(opened: Opened, coinrun: genie.World) -> None:
    app = opened(coinrun, seed=1)
    hands = Gamepad(app)
    hands.wait(lambda: app.model.newest is not None and app.model.newest.index >= 1)
    hands.pause()
    hands.settled()
    before, focus = hands.shown.index, app.screen.focus
    hands.stick(right=1.0)
    hands.trigger()
    hands.wait(lambda: hands.shown.index == before + 1)
    hands.stick(right=0.0)
    session = app.model.session
    assert session is not None
    assert coinrun.actions[int(session.path().rows["action"][-1])].name == "right"
    assert app.screen.focus == focus  # it chooses nothing
