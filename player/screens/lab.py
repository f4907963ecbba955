"""Action lab: the current frame rolled once per action, side by side, with the measured effect; name an action, bind keys and buttons."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pygame

from genie.runtime.actions import Action
from player import theme as look
from player.app import App
from player.bindings import pretty, write
from player.capture import ChordCatcher
from player.jobs import Job
from player.motion import in_words, mean_change, names_for, usual_motion
from player.picture_files import surface_of
from player.screen import Screen
from player.settings import ActionSettings, Chords, Device
from player.theme import Theme
from player.widgets import Button, Choice, Field, Flow, Picture

FRAMES = 16  # of each rollout
LOOPS = 8  # pictures a second
KINDS = ("latent", "recorded")
MOST = 6  # chords of one action
ARROWS = {"left": "left", "right": "right", "up": "up", "down": "down", "forward": "up"}  # what an action is called -> its key


@dataclass(frozen=True, eq=False)
class Roll:
    """What one action does: its frames, uint8 [T, H, W, 3], and the effect as measured."""

    frames: np.ndarray
    motion: tuple[float, float]  # of the picture, in pixels a frame, right and down
    change: float  # mean absolute difference of neighbouring frames


class Lab(Screen):
    """What is set here is kept with the user's settings for this world, never in the world."""

    title = "Action lab"

    def __init__(self, app: App) -> None:
        super().__init__(app)
        world = app.model.world
        assert world is not None
        self._world = world
        self._kind = "latent"
        self._chosen = 0  # place in `actions`
        self.rolls: dict[int, Roll] = {}
        self._waiting: Device | None = None
        self._catcher: ChordCatcher | None = None
        self._moment = -1
        self._job: Job | None = None

    @property
    def actions(self) -> list[Action]:
        """Those that are rolled."""
        return [action for action in self._world.actions if action.kind == self._kind] or list(self._world.actions)

    def enter(self) -> None:
        self.app.model.pause(True)
        self._roll()

    def leave(self) -> None:
        self.app.model.cancel("lab")
        self.listener = None
        self.app.apply_settings()

    def build(self, flow: Flow) -> None:
        flow.text(
            f"The frame at the cursor, {FRAMES} frames under each action. The arrow is the usual motion of the picture, in pixels a frame: "
            "the view goes the other way."
        )
        if {action.kind for action in self._world.actions} == set(KINDS):
            flow.add(Choice("kind", "actions", ("latent", "named"), KINDS.index(self._kind), self._set_kind))
        flow.add(Button("again", "Roll again", self._roll))
        flow.newline()
        scale = 3 if flow.area.width >= 4 * (64 * 3 + 50) else 2
        cell = max(64 * scale + 40, (flow.area.width - 3 * flow.theme.gap) // 4 if flow.area.width > 700 else 0)
        moment = self._frame_now()
        for place, action in enumerate(self.actions):
            roll = self.rolls.get(action.id)
            picture = surface_of(roll.frames[moment]) if roll is not None else None
            mine = self._settings(action)
            name = f"{action.name}: {mine.name}" if mine.name else action.name
            told = in_words(roll.motion, roll.change) if roll is not None else "rolling …" if self._job is not None else "–"
            figures = f"moves {roll.motion[0]:+.1f}, {roll.motion[1]:+.1f}; changes {roll.change:.1f}" if roll is not None else ""
            keys = ", ".join(pretty(chord) for chord in (*mine.keys, *mine.pad)) or " + ".join(action.keys) or "no key"
            flow.add(
                Tile(
                    f"action:{action.id}",
                    picture,
                    (name, told, figures, keys),
                    scale,
                    partial(self._choose, place),
                    roll,
                    place == self._chosen,
                ),
                width=cell,
            )
        action = self.actions[min(self._chosen, len(self.actions) - 1)]
        mine = self._settings(action)
        flow.heading(f"{action.name}: name and keys")
        flow.add(Field("name", "Name", mine.name, self._name, "What this action does, in your words.", 40))
        roll = self.rolls.get(action.id)
        for word in names_for(roll.motion, roll.change) if roll is not None else ():
            hint = f"As measured: {in_words(roll.motion, roll.change)}." if roll is not None else ""
            flow.add(Button(f"call:{word}", f"Call it {word}", partial(self._call, word), hint, on=mine.name.split(" #")[0] == word))
        bound_to: tuple[tuple[Device, str, Chords], ...] = (("keys", "Key", mine.keys), ("pad", "Pad button", mine.pad))
        for device, label, chords in bound_to:
            bound = ", ".join(pretty(chord) for chord in chords) or "none"
            shown = self._catcher.label if self._waiting == device and self._catcher else f"{label}: {bound}"
            flow.add(
                Button(
                    f"bind:{device}",
                    shown,
                    partial(self._bind, device),
                    "Press, then the keys or buttons together. Delete (pad: Back) takes the last one away.",
                    on=self._waiting == device,
                )
            )
        flow.add(Button("clear", "Forget", self._clear, "Name and keys of this action."))

    def tick(self) -> None:
        if self._catcher is not None:
            self._catcher.tick()
        job = self._job
        if job is not None and job.progress is not None and len(job.progress) != len(self.rolls):
            self.rolls = dict(job.progress)
            self.rebuild()
        if self.rolls and (moment := self._frame_now()) != self._moment:
            self._moment = moment
            for widget in self.widgets:
                if isinstance(widget, Tile) and widget.roll is not None:
                    widget.picture = surface_of(widget.roll.frames[moment])
            self.app.dirty = True

    def _frame_now(self) -> int:
        return FRAMES if self.app.settings.reduced_flashing else int(time.perf_counter() * LOOPS) % (FRAMES + 1)

    def _set_kind(self, index: int) -> None:
        self._kind, self._chosen = KINDS[index], 0
        self._roll()

    def _choose(self, place: int) -> None:
        self._chosen, self._waiting, self._catcher, self.listener = place, None, None, None
        self.rebuild()
        self.set_focus("name")

    def _roll(self) -> None:
        self.rolls = {}
        actions = self.actions
        self._job = self.app.work(lambda: self._rollouts(actions), self._rolled, "lab", self._failed)
        self.rebuild()

    def _rolled(self, rolls: dict[int, Roll]) -> None:
        self.rolls = rolls
        self.rebuild()

    def _failed(self, error: Exception) -> None:
        self.app.failed(error)
        self._job = None
        self.rebuild()

    def _rollouts(self, actions: list[Action]) -> Generator[dict[int, Roll], None, dict[int, Roll]]:
        """What each action would do at the cursor, an action a slice (model thread)."""
        rolls: dict[int, Roll] = {}
        for action in actions:
            session = self.app.model.settle()
            film = np.concatenate([session.frame[None], session.ahead(action, FRAMES)])
            rolls[action.id] = Roll(film, usual_motion(film, self._world.scroll_reach), mean_change(film))
            yield dict(rolls)
        return rolls

    def _settings(self, action: Action) -> ActionSettings:
        return self.app.settings.action(self._world.name, action.id)

    def _set(self, **values: object) -> None:
        """Change the chosen action's settings."""
        action = self.actions[self._chosen]
        self.app.settings.set_action(self._world.name, action.id, self._settings(action).model_copy(update=values))
        self._changed()

    def _name(self, text: str) -> None:
        self._set(name=text)

    def _call(self, word: str) -> None:
        """Name the chosen action as measured. Where no key has a meaning yet, it gets the arrow key too."""
        chosen = self.actions[self._chosen]
        others = [self._settings(action) for action in self._world.actions if action.id != chosen.id]
        taken = {other.name for other in others}
        name = next(name for name in (word, *(f"{word} #{number}" for number in range(2, 1000))) if name not in taken)
        keys = self._settings(chosen).keys
        arrow = write(ARROWS[part] for part in word.split(" and ") if part in ARROWS)
        taken_keys = {chord for other in others for chord in other.keys}
        if arrow and not keys and arrow not in taken_keys and all(action.kind == "latent" for action in self._world.actions):
            keys = (arrow,)
        self._set(name=name, keys=keys)

    def _bind(self, device: Device) -> None:
        self._waiting = device
        self._catcher = ChordCatcher(self, device, self._caught)
        self.rebuild()

    def _caught(self, chord: str, remove: bool) -> None:
        device, self._waiting = self._waiting, None
        if device is None:
            return
        chords = getattr(self._settings(self.actions[self._chosen]), device)
        if remove:
            chords = chords[:-1]
        elif chord and (refused := self.app.settings.refusal(device, chord, world=self._world.name)):
            self.app.say(refused)
        elif chord:
            self._take_from_others(device, chord)
            chords = (*(old for old in chords if old != chord), chord)[-MOST:]
        self._set(**{device: chords})

    def _take_from_others(self, device: Device, chord: str) -> None:
        settings, name = self.app.settings, self._world.name
        for action in self._world.actions:
            theirs = settings.action(name, action.id)
            if chord in getattr(theirs, device):
                left = tuple(old for old in getattr(theirs, device) if old != chord)
                settings.set_action(name, action.id, theirs.model_copy(update={device: left}))
        owner = settings.bindings(device).owner(chord)
        if owner is not None:
            self.app.say(f"{pretty(chord)} is “{owner}” elsewhere; in this world it is this action now.")

    def _clear(self) -> None:
        self._set(name="", keys=(), pad=())

    def _changed(self) -> None:
        self.app.save_settings()
        self.app.apply_settings()
        self.rebuild()


class Tile(Picture):
    """A rollout with an arrow for its mean motion."""

    def __init__(
        self,
        key: str,
        picture: pygame.Surface | None,
        lines: tuple[str, ...],
        scale: int,
        on_press: Callable[[], object],
        roll: Roll | None,
        on: bool,
    ) -> None:
        super().__init__(key, picture, lines, scale, on_press, "Press to name it and bind keys.", on)
        self.roll = roll

    def draw(self, surface: pygame.Surface, rect: pygame.Rect, theme: Theme, focused: bool) -> None:
        super().draw(surface, rect, theme, focused)
        if self.roll is None:
            return
        x, y = rect.x + 30, rect.y + 30
        dx, dy = (value * 16 for value in self.roll.motion)
        pygame.draw.circle(surface, look.BACKGROUND, (x, y), 18)
        pygame.draw.circle(surface, look.TEXT, (x, y), 18, 1)
        far = max(1.0, (dx * dx + dy * dy) ** 0.5)
        long = min(16.0, far)
        end = (x + dx / far * long, y + dy / far * long)
        pygame.draw.line(surface, look.ACCENT, (x, y), end, 4)
        pygame.draw.circle(surface, look.ACCENT, end, 4)
