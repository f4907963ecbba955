"""Settings: how it looks, how fast it runs, and every key and pad button, with a check for conflicts."""

from __future__ import annotations

from functools import partial

from player.app import App
from player.bindings import COMMANDS, CONTROLS, KEYS, PAD, pretty
from player.capture import ChordCatcher
from player.screen import Screen
from player.settings import MODES, Device
from player.widgets import Button, Choice, Flow

FONTS = (75, 100, 125, 150, 175, 200)
SCALES = tuple(range(9))
SPEEDS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
YES_NO = ("no", "yes")
MOST = 6  # chords of one target


class SettingsScreen(Screen):
    """Every change counts at once and is kept."""

    title = "Settings"

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self._device: Device = "keys"
        self._waiting: str | None = None  # the target that gets the next chord
        self._catcher: ChordCatcher | None = None

    def leave(self) -> None:
        self.listener = None

    def tick(self) -> None:
        if self._catcher is not None:
            self._catcher.tick()

    def build(self, flow: Flow) -> None:
        settings = self.app.settings
        flow.heading("Picture")
        self._choice(flow, "scale", "scale", ["as large as fits", *(f"{scale}×" for scale in SCALES[1:])], settings.scale, SCALES)
        self._choice(flow, "font", "letters", [f"{font} %" for font in FONTS], _nearest(FONTS, settings.font), FONTS)
        flow.add(Choice("full", "full screen", YES_NO, int(settings.full_screen), lambda index: self.app.full_screen(bool(index))))
        self._switch(flow, "hud", "figures", "Frames/s, step times, drift … beside the picture.")
        self._switch(flow, "safe_colours", "colour-blind-safe figures", "Blue and orange instead of green and red.")
        self._switch(flow, "reduced_flashing", "reduced flashing", "Previews stand still; fast play shows fewer pictures.")
        flow.heading("Pace")
        self._choice(flow, "speed", "speed", [f"{speed:g}×" for speed in SPEEDS], _nearest(SPEEDS, settings.speed), SPEEDS)
        self._choice(flow, "mode", "mode", list(MODES), MODES.index(settings.mode), MODES)
        flow.heading("Keys and gamepad")
        flow.add(Choice("device", "device", ("keyboard", "gamepad"), int(self._device == "pad"), self._set_device))
        flow.add(Button("defaults", "Defaults", self._defaults, "All chords of this device as they came."))
        bindings = settings.bindings(self._device)
        for chord, one, other in bindings.conflicts():
            flow.text(f"Conflict: {pretty(chord)} is both “{_title(one)}” and “{_title(other)}”; the first one counts.", self.app.theme.bad)
        flow.newline()
        for target in (*CONTROLS, *COMMANDS):
            waiting = self._waiting == target
            label = self._catcher.label if waiting and self._catcher else f"{_title(target)}:  {bindings.label(target)}"
            flow.add(
                Button(
                    f"bind:{target}",
                    label,
                    partial(self._wait_for, target),
                    "Press, then press the keys or buttons together: they are added. Delete (pad: Back) takes the last one away.",
                    on=waiting,
                ),
                width=min(flow.area.width, round(430 * self.app.theme.scale)),
            )

    def _choice(self, flow: Flow, name: str, label: str, shown: list[str], index: int, values: tuple[object, ...]) -> None:
        flow.add(Choice(name, label, shown, index, lambda index: self._set(name, values[index])))

    def _switch(self, flow: Flow, name: str, label: str, hint: str) -> None:
        flow.add(Choice(name, label, YES_NO, int(getattr(self.app.settings, name)), lambda index: self._set(name, bool(index)), hint))

    def _set(self, name: str, value: object) -> None:
        setattr(self.app.settings, name, value)
        self._changed()

    def _changed(self) -> None:
        self.app.save_settings()
        self.app.apply_settings()
        self.rebuild()

    def _set_device(self, index: int) -> None:
        self._device = "pad" if index else "keys"
        self.rebuild()

    def _defaults(self) -> None:
        setattr(self.app.settings, self._device, dict(KEYS if self._device == "keys" else PAD))
        self._changed()

    def _wait_for(self, target: str) -> None:
        self._waiting = target
        self._catcher = ChordCatcher(self, self._device, self._caught)
        self.rebuild()

    def _caught(self, add: str, remove: bool) -> None:
        target, self._waiting = self._waiting, None
        table = getattr(self.app.settings, self._device)
        refused = self.app.settings.refusal(self._device, add, target) if target is not None and add else ""
        if refused:
            self.app.say(refused)
        elif target is not None and add:
            owner = self.app.settings.bindings(self._device).owner(add, target)
            if owner is not None:
                table[owner] = tuple(chord for chord in table[owner] if chord != add)
                self.app.say(f"{pretty(add)} was “{_title(owner)}”; it is “{_title(target)}” now.")
            table[target] = (*(chord for chord in table.get(target, ()) if chord != add), add)[-MOST:]
            for world in self.app.settings.worlds_with(self._device, add):
                self.app.say(f"In {world} {pretty(add)} goes on meaning an action, as set in its action lab.")
        elif target == "pause" and remove and len(table.get(target, ())) <= 1:
            self.app.say("Pause keeps its last one: it is the way out of play.")
        elif target is not None and remove:
            table[target] = table.get(target, ())[:-1]
        self._changed()


def _title(target: str) -> str:
    return CONTROLS.get(target) or COMMANDS.get(target) or target


def _nearest(values: tuple[float, ...], value: float) -> int:
    return min(range(len(values)), key=lambda index: abs(values[index] - value))
