"""Diagnostics: what a question or a bug report needs, copied or saved with one press."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import time
from pathlib import Path

import pygame

from genie.backends import measured_rates
from genie.errors import GenieError
from genie.machine import cores, gpu_present, processor
from player import theme as look
from player.app import App
from player.screen import Screen
from player.widgets import Button, Flow

PACKAGES = ("genie-worlds", "numpy", "onnxruntime-gpu", "onnxruntime", "torch", "pygame-ce", "pillow", "pydantic", "procgen-mirror")


class Diagnostics(Screen):
    """The report as text, and two ways out for it."""

    title = "Diagnostics"

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self._report = report(app)

    def build(self, flow: Flow) -> None:
        flow.add(Button("copy", "Copy the report", self._copy, "Into the clipboard; and into a file, in case there is no clipboard."))
        flow.add(Button("save", "Save it", self._save, "Into the player's folder."))
        flow.add(Button("again", "Look again", self._again))
        flow.newline()
        flow.text(self._report, look.TEXT, 18)

    def _again(self) -> None:
        self._report = report(self.app)
        self.rebuild()

    def _copy(self) -> None:
        self._save()
        try:
            pygame.scrap.put_text(self._report)
            self.app.say("The report is in the clipboard.")
        except (pygame.error, TypeError) as error:
            self.app.say(f"There is no clipboard here ({error}).")

    def _save(self) -> None:
        path = self.app.shelf.place("reports") / f"report-{time.strftime('%Y%m%d-%H%M%S')}.txt"
        partial = path.with_suffix(".partial")
        try:
            partial.write_text(self._report, encoding="utf-8")
            os.replace(partial, path)
            self.app.say(f"Report: {path}")
        except OSError as error:
            self.app.failed(GenieError(f"{path} could not be written ({error.strerror})."))


def report(app: App) -> str:
    """What this machine, this player and this session are, as lines of text; the home folder is written as ~."""
    model = app.model
    versions = []
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{package} {importlib.metadata.version(package)}")
    lines = [
        f"{time.strftime('%Y-%m-%d %H:%M:%S')}, genie player",
        f"python {platform.python_version()}, {platform.system()} {platform.release()} {platform.machine()}",
        f"{processor()}, {cores()} cores, {'an' if gpu_present() else 'no'} NVIDIA GPU",
        ", ".join(versions),
        f"SDL {'.'.join(map(str, pygame.get_sdl_version()))}, video {pygame.display.get_driver()}, window {app.surface.get_size()}, "
        f"desktops {pygame.display.get_desktop_sizes()}, pads {pygame.joystick.get_count()}",
    ]
    if model.world is not None and model.newest is not None and model.facts is not None:
        world, figures = model.world, model.figures
        rates = ", ".join(f"{name} {rate:g}" for name, rate in measured_rates(world.manifest).items())
        lines += [
            f"world {world.name} ({world.manifest.weights_digest[:16]}), "
            f"{world.resolution[1]}×{world.resolution[0]}, {world.frame_rate:g} frames/s",
            f"runs on {world.backend}; frames/s measured here: {rates or 'none'}",
            f"session: seed {model.facts.seed}, salt {model.newest.salt}, branch {model.newest.branch}, frame {model.newest.index}, "
            f"mode {model.mode}, driver {model.driver}",
            f"steps p50 {figures.milliseconds(50):.1f} ms, p99 {figures.milliseconds(99):.1f} ms, "
            f"key to screen {max(figures.key_to_screen) * 1000:.0f} ms at most"
            if figures.key_to_screen
            else f"steps p50 {figures.milliseconds(50):.1f} ms, p99 {figures.milliseconds(99):.1f} ms",
        ]
    else:
        lines.append("no session is open")
    changed = app.settings.model_dump(exclude_defaults=True, exclude={"last_session"})
    lines.append(f"settings that differ from the defaults: {changed or 'none'}")
    lines += ["messages:", *(entry.rstrip() for entry in app.log)] if app.log else ["no messages"]
    return "\n".join(lines).replace(str(Path.home()), "~")
