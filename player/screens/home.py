"""Home: the worlds of this machine, the last session, what a crash left, files, settings."""

from __future__ import annotations

import shutil
import time
from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pygame

from genie.backends import measured_rates
from genie.bundle import Bundle
from genie.errors import GenieError
from genie.sessions.journal import LOG
from genie.world import installed_worlds
from player import opening
from player import theme as look
from player.app import App
from player.picture_files import surface_of
from player.screen import Screen
from player.widgets import Button, Flow, Picture


@dataclass(frozen=True)
class Card:
    """What is told of a world before it is opened."""

    name: str
    lines: tuple[str, ...]
    picture: pygame.Surface | None


class Home(Screen):
    """Where `genie play` without a world begins."""

    title = "genie – worlds to play"

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self._cards: list[Card] | None = None
        self._entered = ""
        self._discarding: Path | None = None  # the journal that is deleted when it is confirmed

    def enter(self) -> None:
        self._entered = self.focus
        self.app.work(_cards, self._arrived, "cards")

    def _arrived(self, cards: list[Card]) -> None:
        first, self._cards = self._cards is None, cards
        if first and cards and self.focus == self._entered:  # the user has not gone elsewhere meanwhile
            self.focus = f"world:{cards[0].name}"
        self.rebuild()

    def _discard(self, journal: Path) -> None:
        if self._discarding != journal:
            self._discarding = journal
        else:
            self._discarding = None
            if journal in self.app.shelf.crashed():  # nobody has opened it meanwhile
                shutil.rmtree(journal)
        self.rebuild()

    def back(self) -> None:
        if self.app.model.session is not None:
            from player.screens.play import Play

            self.app.push(Play(self.app))
        else:
            self.app.push(Leave(self.app))

    def build(self, flow: Flow) -> None:
        flow.heading("Worlds")
        for card in self._cards or ():
            flow.add(
                Picture(
                    f"world:{card.name}",
                    card.picture,
                    card.lines,
                    4,
                    partial(opening.open_world, self.app, card.name),
                    hint=f"Play {card.name} from its first prompt; the prompt studio chooses another or paints one.",
                )
            )
        if self._cards is None:
            flow.text("looking …")
        elif not self._cards:
            flow.text("No worlds are installed: `genie train` makes one.")
        flow.heading("Go on")
        if self.app.model.session is not None:
            flow.add(Button("resume", "Back to play", self.back, "The session that is open."))
        shelf = self.app.shelf
        last = Path(self.app.settings.last_session) if self.app.settings.last_session else None
        if last is not None and last.is_file():
            flow.add(Button("continue", "Continue the last session", lambda: opening.open_session(self.app, last), last.name))
        for journal in shelf.crashed():
            flow.newline()
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime((journal / LOG).stat().st_mtime))
            flow.add(
                Button(
                    f"recover:{journal.name}",
                    f"Recover {journal.name}, {when}",
                    partial(opening.open_session, self.app, journal),
                    "A session that was not closed: it goes on where its journal ends.",
                )
            )
            sure = self._discarding == journal
            flow.add(
                Button(
                    f"discard:{journal.name}",
                    "Really discard it?" if sure else "Discard",
                    partial(self._discard, journal),
                    "The session that was not closed is deleted.",
                    on=sure,
                )
            )
        flow.newline()
        flow.add(Button("studio", "Prompt studio", lambda: opening.open_studio(self.app), "Choose, load, paste or paint the first frame."))
        flow.add(Button("library", "Library", lambda: opening.open_library(self.app), "All sessions; export them."))
        flow.add(Button("open", "Open a session or a picture …", lambda: opening.choose_file(self.app), "Or drop a file on the window."))
        flow.heading("This player")
        flow.add(Button("compare", "Compare with the real game", lambda: opening.open_compare(self.app)))
        flow.add(Button("settings", "Settings", lambda: opening.open_settings(self.app), "Keys, pad, scale, speed, letters."))
        flow.add(Button("diagnostics", "Diagnostics", lambda: opening.open_diagnostics(self.app), "A report for a question or a bug."))
        flow.add(Button("help", "Help", lambda: self.app.command("help", True)))
        flow.add(Button("leave", "Leave", self.app.leave))


class Leave(Screen):
    """Esc at home."""

    title = "Leave genie?"

    def build(self, flow: Flow) -> None:
        flow.text("What was played is kept in the library.", look.TEXT)
        flow.add(Button("leave", "Leave", self.app.leave))
        flow.add(Button("stay", "Stay", self.app.pop))


def _cards() -> Generator[None, None, list[Card]]:
    """The cards of the installed worlds; a generator, since reading them takes a moment each."""
    cards = []
    for name, path in installed_worlds().items():
        yield None
        try:
            bundle = Bundle(path)
            manifest = bundle.manifest
            height, width = manifest.tokenizer.resolution
            rates = measured_rates(manifest)
            rate = (
                f"{max(rates.values()):.0f} frames/s here, {manifest.frame_rate:.3g} needed" if rates else "speed is measured when opened"
            )
            lines = (
                manifest.title or name,
                f"{width}×{height} pixels, {bundle.parameters() / 1e6:.1f} M parameters",
                rate,
                f"licence {manifest.licence}",
            )
            cards.append(Card(name, lines, surface_of(bundle.prompt(manifest.prompts[0])[-1])))
        except GenieError as error:
            cards.append(Card(name, (name, f"cannot be opened: {error}"), None))
    return cards
