"""The user's settings: one JSON file in the platform's own place. A file that cannot be used is set aside, never fatal."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Literal, get_args

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from player.bindings import COMMANDS, CONTROLS, KEYS, PAD, Bindings, parse, pretty

APP = "genie-worlds"
FILE = "settings.json"
MAX_BYTES = 2**20
LONGEST = 60  # letters of a chord
Chord = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST)]
Chords = Annotated[tuple[Chord, ...], Field(max_length=6)]
Device = Literal["keys", "pad"]
Mode = Literal["real time", "fast", "turn-based"]
MODES: tuple[Mode, ...] = get_args(Mode)


class ActionSettings(BaseModel):
    """What the user calls one action of a world and how it is given."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(default="", max_length=40)
    keys: Chords = ()
    pad: Chords = ()


class WorldSettings(BaseModel):
    """What the user set for one world, by action id; it never goes into the world itself."""

    model_config = ConfigDict(extra="forbid")

    actions: dict[int, ActionSettings] = Field(default={}, max_length=1000)


class Settings(BaseModel):
    """Everything that can be set."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    version: Literal[1] = 1
    keys: dict[str, Chords] = Field(default_factory=lambda: dict(KEYS), max_length=200)
    pad: dict[str, Chords] = Field(default_factory=lambda: dict(PAD), max_length=200)
    scale: int = Field(default=0, ge=0, le=8)  # screen pixels a side of one world pixel; 0: as large as the window allows
    speed: float = Field(default=1.0, ge=0.1, le=4.0)  # of the world's own rate
    mode: Mode = "real time"
    font: int = Field(default=100, ge=75, le=200)  # per cent
    hud: bool = True
    safe_colours: bool = True  # blue and orange instead of green and red
    reduced_flashing: bool = False
    full_screen: bool = False
    worlds: dict[str, WorldSettings] = Field(default={}, max_length=1000)
    last_session: str = Field(default="", max_length=4096)

    def bindings(self, device: Device, world: str = "") -> Bindings:
        """The chords of a device, the user's own for a world's actions among them. Those of pause, the way out, are never all taken."""
        table = {target: chords for target, chords in getattr(self, device).items() if target in CONTROLS or target in COMMANDS}
        if world in self.worlds:
            own = {f"action:{number}": getattr(action, device) for number, action in self.worlds[world].actions.items()}
            taken = {chord for chords in own.values() for chord in chords}
            table = {target: tuple(chord for chord in chords if chord not in taken) for target, chords in table.items()} | own
            table["pause"] = table["pause"] or getattr(self, device)["pause"]
        return Bindings(table)

    def refusal(self, device: Device, chord: str, target: str = "", world: str = "") -> str:
        """Why a chord cannot be given to a target, here or in one world; empty where it can."""
        if len(chord) > LONGEST:
            return "These are too many at once: press fewer together."
        if target != "pause" and {parse(other) for other in self.bindings(device, world).table["pause"]} == {parse(chord)}:
            return f"{pretty(chord)} is the last one that pauses: give pause another one first."
        return ""

    def worlds_with(self, device: Device, chord: str) -> list[str]:
        """The worlds in which a chord is the user's own for an action."""
        return [name for name, world in self.worlds.items() if any(chord in getattr(action, device) for action in world.actions.values())]

    def action(self, world: str, number: int) -> ActionSettings:
        """The user's settings of one action, to be looked at."""
        own = self.worlds.get(world)
        return own.actions.get(number, ActionSettings()) if own is not None else ActionSettings()

    def set_action(self, world: str, number: int, value: ActionSettings) -> None:
        """Keep the settings of one action; empty ones are forgotten. Call `save` afterwards."""
        actions = self.worlds.setdefault(world, WorldSettings()).actions
        actions[number] = value
        if value == ActionSettings():
            del actions[number]
        if not actions:
            del self.worlds[world]


def config_folder() -> Path:
    """Where the settings lie."""
    return Path(os.environ.get("GENIE_CONFIG_DIR") or platformdirs.user_config_dir(APP))


def data_folder() -> Path:
    """Where sessions, screenshots and reports go."""
    return Path(os.environ.get("GENIE_DATA_DIR") or platformdirs.user_data_dir(APP))


def load(folder: Path | None = None) -> tuple[Settings, str]:
    """The settings, and a message for the user (empty unless something was wrong)."""
    path = (folder or config_folder()) / FILE
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES >> 20} MiB")
        settings = Settings.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Settings(), ""
    except OSError as error:
        return Settings(), f"The settings could not be read ({error.strerror}); the defaults are used."
    except (ValidationError, ValueError) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        aside = path.with_name(f"{FILE}.broken-{time.strftime('%Y%m%d-%H%M%S')}")
        try:
            os.replace(path, aside)
        except OSError:
            return Settings(), f"The settings could not be used ({why}); the defaults are used."
        return Settings(), f"The settings could not be used ({why}). They were set aside as {aside.name}; the defaults are used."
    for target, chords in KEYS.items():  # what came after the file was written
        settings.keys.setdefault(target, chords)
    for target, chords in PAD.items():
        settings.pad.setdefault(target, chords)
    for table, default in ((settings.keys, KEYS), (settings.pad, PAD)):
        table["pause"] = table["pause"] or default["pause"]
    return settings, ""


def save(settings: Settings, folder: Path | None = None) -> str:
    """Write the settings whole or not at all; returns a message for the user if that failed."""
    path = (folder or config_folder()) / FILE
    partial = path.with_name(f"{FILE}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(settings.model_dump_json(indent=1), encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        return f"The settings could not be saved ({error.strerror})."
    return ""
