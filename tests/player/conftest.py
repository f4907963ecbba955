"""The player's window, under Xvfb where that is installed; the user's folders are new for every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pygame
import pytest
from desktop import desktop
from hands import Player

import genie
from player.app import App
from player.launch import open_app
from player.screens.play import Play


@pytest.fixture(autouse=True, scope="package")
def x_server() -> Iterator[str]:
    """The display that the windows open on; empty without an X server."""
    with desktop() as display:
        yield display
        pygame.quit()  # before the server goes


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings and sessions of a new user."""
    monkeypatch.setenv("GENIE_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("GENIE_DATA_DIR", str(tmp_path / "data"))
    return tmp_path


@pytest.fixture
def player(coinrun: genie.World) -> Iterator[Player]:
    """In play, from the first prompt, seed 1."""
    hands = Player(open_app(coinrun, seed=1))
    hands.wait(lambda: isinstance(hands.app.screen, Play) and hands.shown.index >= 1)
    yield hands
    hands.app.close()


@pytest.fixture
def opened() -> Iterator[Callable[..., App]]:
    """`open_app`; what it opened is closed, also where a test fails."""
    apps: list[App] = []

    def make(*arguments: Any, **options: Any) -> App:
        apps.append(open_app(*arguments, **options))
        return apps[-1]

    yield make
    for app in apps:
        app.close()


@pytest.fixture
def home() -> Iterator[Player]:
    """At home, nothing opened."""
    hands = Player(open_app())
    yield hands
    hands.app.close()
