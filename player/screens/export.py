"""Export: a path, a take or the whole tree as video, pictures, actions or a dataset; always after play, with progress."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from genie.errors import GenieError
from genie.sessions.frames import Frames
from genie.sessions.reading import check_same_tokenizer, read_session
from genie.sessions.recording import Recording
from genie.sessions.video import GIF_RATES
from genie.world import World
from player import opening
from player import theme as look
from player.app import App
from player.screen import Screen
from player.shelf import free_path
from player.widgets import Button, Choice, Flow, Text

if TYPE_CHECKING:
    from genie.sessions.export import Kind, Take

KINDS: dict[Kind, tuple[str, str]] = {
    "mp4": ("video (mp4)", "Each pixel enlarged; plays everywhere."),
    "lossless": ("lossless video (mkv)", "Every pixel as it was."),
    "gif": ("GIF", "For a page or a chat."),
    "png": ("PNG frames", "A folder of pictures."),
    "npz": ("actions and codes (npz)", "Arrays for numpy."),
    "ndjson": ("actions and codes (ndjson)", "A line of JSON a frame."),
    "dataset": ("dataset", "What `genie train` reads."),
    "minari": ("Minari", "A dataset for offline reinforcement learning."),
}
SCALES = (None, 1, 2, 3, 4, 6, 8, 12)  # video pixels a side of one pixel; None: 6, lossless 1
RATES = (None, *GIF_RATES)  # frames/s; None: the nearest to the world's
WHAT = ("this path", "whole tree", "last take")


class Stopped(GenieError):
    """The user left while an export ran."""


class Export(Screen):
    """Of the session that is open, or of a kept file."""

    title = "Export"

    def __init__(self, app: App, branch: int | None = None, file: Path | None = None) -> None:
        super().__init__(app)
        self._branch, self._file = branch, file
        self._what = self._scale = self._rate = 0
        self._progress = (0, 0)
        self._running = ""
        self._stop = False
        self.written: list[Path] = []

    def leave(self) -> None:
        self._stop = True

    def build(self, flow: Flow) -> None:
        name = self._file.name if self._file is not None else f"the session that is open, path to branch {self._branch}"
        flow.text(f"Of {name}. Files go to {self.app.shelf.place('exports')}", look.TEXT)
        options = [what for what in WHAT if what != "last take" or (self._file is None and self.app.model.last_take is not None)]
        flow.add(Choice("what", "what", options, min(self._what, len(options) - 1), partial(setattr, self, "_what")))
        scales = ["as usual", *(f"{scale}×" for scale in SCALES[1:])]
        flow.add(Choice("scale", "pixels of a video", scales, self._scale, partial(setattr, self, "_scale"), "As usual: 6×, lossless 1×."))
        rates = ["nearest", *(f"{rate:g} frames/s" for rate in RATES[1:])]
        flow.add(
            Choice("rate", "GIF", rates, self._rate, partial(setattr, self, "_rate"), "Nearest to the world's own rate; the speed stays.")
        )
        flow.newline()
        for kind, (label, hint) in KINDS.items():
            flow.add(Button(f"kind:{kind}", label, partial(self._export, kind), hint, enabled=not self._running))
        flow.newline()
        if self._running:
            flow.add(Text(self._state(), 20, look.ACCENT, key="state"), width=flow.area.width)
            flow.newline()
            flow.add(Button("stop", "Stop", self._stop_it))
        for path in self.written:
            flow.text(str(path), look.TEXT)

    def tick(self) -> None:
        if self._running:
            for widget in self.widgets:
                if isinstance(widget, Text) and widget.key == "state" and widget.text != self._state():
                    widget.text = self._state()
                    self.app.dirty = True

    def _state(self) -> str:
        done, total = self._progress
        return f"{self._running}: {done} of {total} frames" if total else f"{self._running} …"

    def _stop_it(self) -> None:
        self._stop = True

    def _export(self, kind: Kind) -> None:
        if self._running:
            return
        self._running, self._stop, self._progress = KINDS[kind][0], False, (0, 0)
        self.app.work(lambda: self._write(kind), self._done, "export", self._failed)
        self.rebuild()

    def _write(self, kind: Kind) -> list[Path]:
        """The work itself (model thread: painting frames takes the model, and importing zarr takes half a second)."""
        from genie.sessions.export import NEED_FRAMES, SUFFIXES, VIDEOS, export

        recording, name = self._recording()
        wanted = self._wanted(recording)
        suffix = "" if len(wanted) > 1 and kind in VIDEOS else SUFFIXES[kind]  # several videos lie in a folder
        out = free_path(self.app.shelf.place("exports") / f"{name}-{time.strftime('%H%M%S')}{suffix}")
        frames = None
        if kind in NEED_FRAMES:
            world = self._world(recording)
            if self._file is not None:
                check_same_tokenizer(recording, world.manifest, self._file)
            frames = Frames(recording, world.engine.codec)

        def progress(done: int, total: int) -> None:
            self._progress = (done, total)
            if self._stop:
                raise Stopped("The export was stopped; nothing was written.")

        try:
            return export(recording, frames, kind, out, wanted, SCALES[self._scale], RATES[self._rate], progress)
        finally:
            if frames is not None:
                frames.close()

    def _recording(self) -> tuple[Recording, str]:
        if self._file is not None:
            return read_session(self._file), self._file.stem
        session = self.app.model.settle()
        return session.recording, session.world.name

    def _wanted(self, recording: Recording) -> list[Take]:
        from genie.sessions.export import Take, takes

        last = self.app.model.last_take
        if self._what == 2 and last is not None:
            return [Take(last.branch, last.first, last.last)]
        return takes(recording, self._branch, tree=self._what == 1)

    def _world(self, recording: Recording) -> World:
        if self._file is None and self.app.model.world is not None:
            return self.app.model.world
        return opening.world_of(self.app, recording)

    def _done(self, written: list[Path]) -> None:
        self._running, self.written = "", [*self.written, *written]
        self.app.say(f"Written: {', '.join(path.name for path in written)}")
        self.rebuild()

    def _failed(self, error: Exception) -> None:
        self._running = ""
        self.app.failed(error)
        self.rebuild()
