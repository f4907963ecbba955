"""A file from the disk, chosen with arrows or a pad."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from player import theme as look
from player.app import App
from player.screen import Screen
from player.widgets import Button, Flow

MOST = 300  # entries of a folder that are shown


class Files(Screen):
    """One folder at a time; calls back with the file that was pressed."""

    title = "Choose a file"

    def __init__(self, app: App, suffixes: tuple[str, ...], on_chosen: Callable[[Path], object]) -> None:
        super().__init__(app)
        self._suffixes, self._on_chosen = suffixes, on_chosen
        self._folder = Path(app.memory.get("folder", Path.home()))

    def build(self, flow: Flow) -> None:
        flow.text(f"{self._folder}   ({', '.join(self._suffixes)})", look.TEXT)
        if self._folder.parent != self._folder:
            flow.add(Button("..", "one folder up", lambda: self._go(self._folder.parent)))
        flow.add(Button("~", "home folder", lambda: self._go(Path.home())))
        flow.add(Button("shelf", "player's folder", lambda: self._go(self.app.shelf.folder)))
        flow.newline()
        try:
            entries = sorted((e for e in self._folder.iterdir() if not e.name.startswith(".")), key=lambda e: (e.is_file(), e.name.lower()))
        except OSError as error:
            flow.text(f"This folder cannot be read ({error.strerror}).", self.app.theme.bad)
            return
        shown = [entry for entry in entries if entry.is_dir() or entry.suffix.lower() in self._suffixes]
        for entry in shown[:MOST]:
            label = f"{entry.name}/" if entry.is_dir() else entry.name
            flow.add(Button(f"file:{entry.name}", label, partial(self._go if entry.is_dir() else self._choose, entry)))
        if not shown:
            flow.text("Nothing here that can be opened.")
        if len(shown) > MOST:
            flow.text(f"and {len(shown) - MOST} more: give the path on the command line, or drop the file on the window.")

    def _go(self, folder: Path) -> None:
        self._folder = folder
        self.app.memory["folder"] = str(folder)
        self.focus = ""
        self.scroll = 0
        self.rebuild()

    def _choose(self, path: Path) -> None:
        self.app.pop()
        self._on_chosen(path)
