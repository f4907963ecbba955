"""Library: the kept sessions with a picture each; open, export, remove."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from genie.errors import GenieError
from genie.sessions.reading import read_session
from genie.sessions.recording import Recording
from player import opening
from player.app import App
from player.picture_files import png_frame, surface_of
from player.screen import Screen
from player.widgets import Button, Flow, Picture

MOST = 60  # sessions that are shown at first, and with each "older ones" more


@dataclass(frozen=True, eq=False)
class Kept:
    """What is told of a session."""

    path: Path
    lines: tuple[str, ...]
    picture: np.ndarray | None  # uint8 [H, W, 3]


class Library(Screen):
    """The newest first. Choose one, then what to do with it."""

    title = "Library"

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self.kept: list[Kept] | None = None
        self._chosen: Path | None = None
        self._sure = False
        self._most = MOST
        self._older = 0  # that are not shown

    def enter(self) -> None:
        self.app.model.pause(True)
        self._look()

    def _look(self) -> None:
        paths = self.app.shelf.sessions()
        self._older = max(0, len(paths) - self._most)
        self.app.work(lambda: _look_at(paths[: self._most]), self._arrived, "library")

    def _look_further(self) -> None:
        self._most += MOST
        self._look()

    def leave(self) -> None:
        self.app.model.cancel("library")

    def _arrived(self, kept: list[Kept]) -> None:
        self.kept = kept
        self.rebuild()

    def build(self, flow: Flow) -> None:
        if self._chosen is not None:
            flow.heading(self._chosen.name)
            path = self._chosen
            flow.add(
                Button(
                    "open", "Open", lambda: opening.open_session(self.app, path), "Go on where it was left; it can be rewound to its start."
                )
            )
            flow.add(Button("export", "Export …", lambda: self._export(path), "Video, pictures, actions, a dataset."))
            flow.add(Button("remove", "Really remove it?" if self._sure else "Remove", lambda: self._remove(path), "The file is deleted."))
            flow.newline()
        if self.kept is None:
            flow.text("reading …")
            return
        if not self.kept:
            flow.text("Nothing is kept yet: what you play is kept here when you leave it.")
        for entry in self.kept:
            picture = surface_of(entry.picture) if entry.picture is not None else None
            flow.add(
                Picture(
                    f"session:{entry.path.name}", picture, entry.lines, 2, partial(self._choose, entry.path), on=entry.path == self._chosen
                ),
                width=max(220, round(200 * self.app.theme.scale)),
            )
        if self._older:
            flow.newline()
            flow.add(Button("older", f"{self._older} older ones", self._look_further))

    def _choose(self, path: Path) -> None:
        self._chosen, self._sure = path, False
        self.scroll = 0
        self.rebuild()
        self.set_focus("open")

    def _export(self, path: Path) -> None:
        from player.screens.export import Export

        self.app.push(Export(self.app, file=path))

    def _remove(self, path: Path) -> None:
        if not self._sure:
            self._sure = True
            self.rebuild()
            return
        try:
            path.unlink()
        except OSError as error:
            self.app.failed(error)
        self._chosen, self._sure = None, False
        self.kept = [entry for entry in self.kept or [] if entry.path != path]
        self.rebuild()


def _look_at(paths: list[Path]) -> Generator[None, None, list[Kept]]:
    """Read the sessions, one a slice."""
    found = []
    for path in paths:
        yield None
        try:
            recording = read_session(path)
        except (GenieError, OSError) as error:
            found.append(Kept(path, (path.stem, f"cannot be read: {error}"), None))
            continue
        header = recording.header
        seconds = recording.frames / header.world.frame_rate
        branches = "1 branch" if len(recording) == 1 else f"{len(recording)} branches"
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(path.stat().st_mtime))
        lines = (
            path.stem,
            f"{header.world.name}, {when}",
            f"{seconds:.0f} s, {branches}, seed {header.seed}",
        )
        found.append(Kept(path, lines, newest_picture(recording)))
    return found


def newest_picture(recording: Recording) -> np.ndarray:
    """The newest picture that is in the file; the prompt if there is no other."""
    if recording.key_frames:
        try:
            frame = png_frame(recording.key_frames[max(recording.key_frames, key=lambda place: place[1])])
        except ValueError:  # it is checked only when it is painted from
            return recording.prompt[-1]
        height, width = recording.header.world.resolution
        top, left = (frame.shape[0] - height) // 2, (frame.shape[1] - width) // 2  # what is remembered around it is not shown
        return frame[top : top + height, left : left + width]
    return recording.prompt[-1]
