"""Ways from one screen to another, and files, worlds and sessions on the way. Screens are imported when they are first needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genie.errors import GenieError
from genie.world import World, load_world
from player.paint import Painted
from player.picture_files import SUFFIXES, read_picture

if TYPE_CHECKING:
    from genie.sessions.recording import Recording
    from genie.sessions.session import Session
    from player.app import App


def world_for(app: App, name: str | Path) -> World:
    """A world by name or path, opened once (model thread)."""
    if str(name) not in app.worlds:
        app.worlds[str(name)] = load_world(name, *app.runtime)
    return app.worlds[str(name)]


def key_of(world: World) -> str:
    """What an open world is known by: its name if it is the installed one, else its path, since others may have the same name."""
    from genie.world import installed_worlds

    installed = installed_worlds().get(world.name)
    return world.name if installed is not None and installed.resolve() == world.path.resolve() else str(world.path)


def known_worlds(app: App) -> list[str]:
    """The installed worlds by name, then others that were opened, by the path that they were opened by."""
    from genie.world import installed_worlds

    installed = installed_worlds()
    paths = {path.resolve() for path in installed.values()}
    return [*installed, *sorted(name for name in app.worlds if name not in installed and Path(name).resolve() not in paths)]


def start(app: App, world: World, prompt: Any = None, seed: int = 0, painted: Painted | None = None, **sampling: Any) -> None:
    """Begin a session, with what was painted on the prompt's last frame (model thread)."""
    from genie.sessions.session import Session

    session = Session.start(world, prompt, seed, journal=app.shelf.new_journal(world.name), **sampling)
    if painted is not None:
        session.edit(painted.frame, hold=painted.held)
    app.model.play(session)
    if painted is not None:
        app.model.check_later(session.branch)


def open_world(app: App, name: str | Path, prompt: Any = None, seed: int = 0) -> None:
    """Open a world and play it."""
    app.say(f"Opening {name} …")
    app.work(lambda: start(app, world_for(app, name), prompt, seed), lambda _: show_play(app), "open")


def play_from(app: App, world: World, frames: np.ndarray, painted: Painted | None, seed: int) -> None:
    """A new session of the studio's world, from a clip uint8 [T, H, W, 3] and what was painted on its last frame."""
    app.work(lambda: start(app, world, frames, seed, painted), lambda _: show_play(app), "open")


def open_session(app: App, path: Path) -> None:
    """Go on with a kept session, a slot, or the journal of one that was not closed."""
    app.say(f"Opening {path.name} …")
    app.work(lambda: go_on(app, path), lambda _: show_play(app, paused=True), "open")


def world_of(app: App, recording: Recording) -> World:
    """The world that made a recording: an open one with its weights, else the installed one of its name (model thread).

    Raises:
        GenieError: there is none; a session knows its world's name, not where it lies.
    """
    from genie.world import installed_worlds

    made_by = recording.header.world
    fitting = [world for world in app.worlds.values() if world.manifest.weights_digest == made_by.weights]
    if not fitting and made_by.name not in app.worlds and made_by.name not in installed_worlds():
        raise GenieError(
            f"the session was played in {made_by.name!r}, which is not installed: open that world first, "
            "by its path (genie play PATH) or by dropping it on the window, then the session."
        )
    return fitting[0] if fitting else world_for(app, made_by.name)


def go_on(app: App, path: Path) -> Session:
    """Open a session with its own world and take it over (model thread); where it is the open one, go on with that."""
    from genie.sessions.reading import read_session
    from genie.sessions.session import Session

    playing = app.model.session
    if playing is not None and app.shelf.is_at(playing, path):
        if app.model.error is None:
            return playing
        app.model.play(None)  # its world stopped: it is kept first, then read
    world = world_of(app, read_session(path))
    journal = app.shelf.new_journal(world.name) if path.is_file() else None
    session = Session.open(path, world, journal=journal, watch=True)
    app.shelf.stays_at(session, path)
    app.model.play(session)
    if session.watched:
        app.model.notes.append(
            f"Other weights of {world.name} made this session: it can be watched. “Play on from here” in the menu begins a new one."
        )
    return session


def play_on(app: App) -> None:
    """A new session of the world from the frames that are shown: for one that can only be watched."""

    def work() -> None:
        session = app.model.settle()
        length = session.world.engine.context
        played = [session.frame_at(index) for index in range(max(0, session.index - length + 1), session.index + 1)]
        before = session.recording.prompt[:-1] if session.index < length else ()
        start(app, session.world, np.stack([*before, *played][-length:]), session.seed)

    app.work(work, lambda _: show_play(app), "open")


def show_play(app: App, paused: bool = False) -> None:
    """The play screen, above home."""
    from player.screens.home import Home
    from player.screens.play import Play

    app.memory["stay paused"] = paused or app.away
    app.model.pause(True)
    app.reset_to(Home(app), Play(app))


def back_to_play(app: App) -> None:
    """Out of every screen above play, and on with it."""
    from player.screens.play import Play

    while app.inside(Play) and not isinstance(app.screen, Play):
        app.pop()


def open_path(app: App, path: Path) -> None:
    """A file or folder of any kind that the player knows: a session, a picture, a world."""
    from genie.bundle import MANIFEST

    if path.suffix == ".session" or (path.is_dir() and not (path / MANIFEST).is_file()):
        open_session(app, path)
    elif path.suffix.lower() in SUFFIXES:
        open_studio(app, path)
    elif path.is_dir() or path.suffix == ".zip":
        open_world(app, path)
    else:
        app.say(f"{path.name} is neither a session, a picture nor a world.")


def open_studio(app: App, picture: Path | None = None) -> None:
    """The prompt studio, with a picture file as the first frame if one is given. Opens a world first if none is open."""

    def ready(world: World) -> None:
        from player.screens.studio import Studio

        def read(frame: np.ndarray) -> None:
            assert picture is not None
            studio = Studio(app, world)
            studio.put(frame, picture.stem)
            app.push(studio)

        if picture is None:
            app.push(Studio(app, world))
        else:
            app.work(lambda: read_picture(picture, world.resolution), read, "picture")

    with_world(app, ready)


def with_world(app: App, ready: Any) -> None:
    """Call `ready(world)` with the world that is open, or the first installed one."""
    if app.model.world is not None:
        ready(app.model.world)
        return
    from genie.world import installed_worlds

    names = list(installed_worlds())
    if not names:
        app.say("No worlds are installed: `genie train` makes one.")
        return
    app.say(f"Opening {names[0]} …")
    app.work(lambda: world_for(app, names[0]), ready, "open")


def open_home(app: App) -> None:
    """Home; the session stays open."""
    from player.screens.home import Home

    app.model.pause(True)
    app.reset_to(Home(app))


def open_timeline(app: App) -> None:
    """The tree of the session."""
    if app.model.session is not None:
        from player.screens.timeline import Timeline

        _over_play(app, Timeline)


def open_edit(app: App) -> None:
    """Paint on the current frame."""
    if app.model.newest is not None:
        from player.screens.edit import Edit

        _over_play(app, Edit)


def open_lab(app: App) -> None:
    """What each latent action does from the current frame."""
    if app.model.newest is not None:
        from player.screens.lab import Lab

        _over_play(app, Lab)


def open_compare(app: App) -> None:
    """The real game beside the world."""

    def ready(world: World) -> None:
        from player.screens.compare import Compare

        app.model.pause(True)
        app.push(Compare(app, world))

    with_world(app, ready)


def open_library(app: App) -> None:
    """All kept sessions."""
    from player.screens.library import Library

    app.push(Library(app))


def open_settings(app: App) -> None:
    """Keys, pad, scale, speed, letters."""
    from player.screens.settings import SettingsScreen

    app.push(SettingsScreen(app))


def open_diagnostics(app: App) -> None:
    """A report."""
    from player.screens.diagnostics import Diagnostics

    app.push(Diagnostics(app))


def choose_file(app: App) -> None:
    """A session, picture or world from the disk."""
    from player.screens.files import Files

    app.push(Files(app, (".session", ".zip", *SUFFIXES), lambda path: open_path(app, path)))


def _over_play(app: App, kind: Any) -> None:
    app.model.pause(True)
    if not app.inside(kind):
        app.push(kind(app))
