"""The prompt studio: choose, load, paste or paint the first frame; beside it what the world makes of it under each key."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from genie.world import Prompt, World
from player import opening
from player.app import App
from player.canvas import Canvas, Toolbox, add_tools
from player.paint import Painted, Painting
from player.picture_files import SUFFIXES, Fit, copied_file, paste_picture, read_picture, surface_of
from player.screen import Screen
from player.stamps import palette, stamps
from player.widgets import Button, Choice, Flow, Picture, Text

AHEAD = 0.5  # seconds of the world beside each key
LOOPS = 4  # pictures a second that the look-ahead shows; half of it with reduced flashing
FITS: tuple[Fit, ...] = ("crop", "fit")
SEEDS = tuple(range(10))


@dataclass(frozen=True, eq=False)
class Ahead:
    """Frames of the look-ahead so far, uint8 [T, A, H, W, 3], and the names of the A actions."""

    names: tuple[str, ...]
    frames: tuple[np.ndarray, ...]


class Studio(Screen):
    """The picture is the state: it is shown as painted, and the world begins with exactly it, after the clip that it was painted on."""

    title = "Prompt studio"

    def __init__(self, app: App, world: World) -> None:
        super().__init__(app)
        self._world = world
        # What is painted on comes from a prompt: a shipped one, or a picture as one of a single frame. It stays until the window closes.
        fresh = Painting(world.prompts[0].frames[-1], source=world.prompts[0])
        self.painting: Painting = app.memory.setdefault(f"studio:{opening.key_of(world)}", fresh)
        looks = [prompt.frames[-1] for prompt in world.prompts]
        self._tools: Toolbox = app.memory.setdefault(f"tools:{world.name}", Toolbox(palette(looks), stamps(looks)))
        self._fit: Fit = "crop"
        self._seed = 0
        self._again: Callable[[], None] | None = None  # takes the same picture file or clipboard again
        self.ahead: Ahead | None = None
        self._asked: Any = None
        self._scale = 6
        self._moment = -1

    def enter(self) -> None:
        self.app.model.pause(True)
        self._look_ahead()

    def leave(self) -> None:
        self.app.model.cancel("look ahead")
        self.app.model.cancel("picture")

    def put(self, frame: np.ndarray, name: str) -> None:
        """Take a picture uint8 [H, W, 3] as the first frame."""
        self._take(Prompt(name, frame[None]))

    def painted(self) -> Painted | None:
        """What was painted on the last frame of the clip that the picture was taken from."""
        return self.painting.painted(self.painting.source.frames[-1])

    def build(self, flow: Flow) -> None:
        app, world = self.app, self._world
        source: Prompt = self.painting.source
        flow.heading(f"First frame: {source.name}" + (", painted on" if self.painted() else ""))
        height, width = self.painting.frame.shape[:2]
        self._scale = max(2, min(8, (flow.area.width * 2 // 5) // width, (flow.area.height * 3 // 5) // height))
        canvas = Canvas(self.painting, self._tools, self._scale, self._changed)
        flow.add(canvas)
        self._build_ahead(flow)
        flow.newline()
        flow.add(Button("play", "Play from here", self._play, "Begin with this frame."))
        flow.add(Choice("seed", "seed", [str(seed) for seed in SEEDS], self._seed, self._set_seed, "Another roll of the dice."))
        flow.add(Button("load", "Load a picture …", lambda: self._choose_file(), "Any picture file; or drop one on the window."))
        flow.add(Button("paste", "Paste", self._paste, f"{app.keys.label('paste')}: the picture or file in the clipboard."))
        flow.add(
            Choice(
                "fit", "larger pictures", FITS, FITS.index(self._fit), self._set_fit, "crop fills the frame, fit shows the whole picture."
            )
        )
        flow.newline()
        add_tools(flow, app, self.painting, self._tools, self.rebuild, self._changed)
        flow.heading("Prompts of this world")
        worlds = opening.known_worlds(app)
        here = next((name for name in worlds if app.worlds.get(name) is world), world.name)
        if len(worlds) > 1 and here in worlds:
            flow.add(Choice("world", "world", worlds, worlds.index(here), lambda place: self._change_world(worlds[place])))
            flow.newline()
        for prompt in world.prompts:
            flow.add(
                Picture(
                    f"prompt:{prompt.name}",
                    surface_of(prompt.frames[-1]),
                    (prompt.name,),
                    2,
                    partial(self._take, prompt),
                    on=source.name == prompt.name,
                )
            )

    def _play(self) -> None:
        opening.play_from(self.app, self._world, self.painting.source.frames, self.painted(), self._seed)

    def _change_world(self, name: str) -> None:
        def ready(world: World) -> None:
            self.app.pop()
            self.app.push(Studio(self.app, world))

        self.app.say(f"Opening {name} …")
        self.app.work(lambda: opening.world_for(self.app, name), ready, "picture")

    def _build_ahead(self, flow: Flow) -> None:
        """What each key does: beside the canvas, as large as fits."""
        if self.ahead is None:
            flow.add(Text("looking ahead …"))
            return
        inner = flow.beside()
        room, count = inner.area.width, len(self.ahead.names)
        height, width = self.painting.frame.shape[:2]
        scale = 1
        for candidate in (4, 3, 2):
            columns = max(1, room // (max(width * candidate, 110) + inner.theme.gap))
            if -(-count // columns) * (height * candidate + 40) <= height * self._scale + 80 and width * candidate <= room:
                scale = candidate
                break
        frame = self._frame_now()
        for number, name in enumerate(self.ahead.names):
            inner.add(Picture(f"ahead:{number}", surface_of(self.ahead.frames[frame][number]), (name,), scale))
        flow.take(inner)

    def _frame_now(self) -> int:
        """Which moment of the look-ahead is shown: it runs in a loop; the last one, with reduced flashing."""
        count = len(self.ahead.frames) if self.ahead is not None else 0
        if self.app.settings.reduced_flashing or count == 0:
            return count - 1
        return int(time.perf_counter() * LOOPS * 2) % count

    def tick(self) -> None:
        job = self._asked
        if job is not None and job.progress is not None and job.progress.frames and not job.cancelled and job.progress is not self.ahead:
            fresh = self.ahead is None
            self.ahead = job.progress
            self._moment = -1
            if fresh:
                self.rebuild()
        if self.ahead is not None and self.ahead.frames and (moment := self._frame_now()) != self._moment:
            self._moment = moment
            for widget in self.widgets:
                if isinstance(widget, Picture) and widget.key.startswith("ahead:"):
                    widget.picture = surface_of(self.ahead.frames[moment][int(widget.key[6:])])
            self.app.dirty = True

    def command(self, name: str, down: bool) -> bool:
        if name == "undo" and down:
            if self.painting.undo():
                self._changed()
            return True
        if name == "paste" and down:
            self._paste()
            return True
        return False

    def dropped(self, path: str) -> bool:
        if Path(path).suffix.lower() not in SUFFIXES:
            return False
        self._load(Path(path))
        return True

    def _take(self, prompt: Prompt) -> None:
        if any(prompt is shipped for shipped in self._world.prompts):
            self._again = None
        self.painting.replace(prompt.frames[-1], prompt)
        self._changed()

    def _choose_file(self) -> None:
        from player.screens.files import Files

        self.app.push(Files(self.app, SUFFIXES, self._load))

    def _load(self, path: Path) -> None:
        resolution, fit, self._again = self._world.resolution, self._fit, partial(self._load, path)
        self.app.work(lambda: read_picture(path, resolution, fit), lambda frame: self.put(frame, path.stem), "picture")

    def _paste(self) -> None:
        file = copied_file()
        if file is not None:
            self._load(file)
        else:
            resolution, fit, self._again = self._world.resolution, self._fit, self._paste
            self.app.work(lambda: paste_picture(resolution, fit), lambda frame: self.put(frame, "pasted"), "picture")

    def _set_fit(self, index: int) -> None:
        self._fit = FITS[index]
        if self._again is not None:
            self._again()

    def _set_seed(self, index: int) -> None:
        self._seed = SEEDS[index]
        self._look_ahead()

    def _changed(self) -> None:
        self.rebuild()
        self._look_ahead()

    def _look_ahead(self) -> None:
        prompt, painted, seed, world = self.painting.source.frames, self.painted(), self._seed, self._world
        self._asked = self.app.work(lambda: look_ahead(world, prompt, painted, seed), None, "look ahead")


def look_ahead(world: World, prompt: np.ndarray, painted: Painted | None, seed: int) -> Iterator[Ahead]:
    """Half a second under each key from a clip uint8 [T, H, W, 3] and what was painted on it, a frame a slice (model thread)."""
    actions = [action for action in world.actions if action.kind == "recorded"] or list(world.actions)
    names = tuple(action.name for action in actions)
    batch = world.start_batch([prompt] * len(actions), [seed] * len(actions))
    if painted is not None:
        batch.edit(np.stack([painted.frame] * len(actions)), hold=painted.held)
    frames: list[np.ndarray] = []
    for _ in range(max(1, round(AHEAD * world.frame_rate))):
        yield Ahead(names, tuple(frames))
        frames.append(batch.step(actions))
    yield Ahead(names, tuple(frames))
