"""Help: every command with its keys and pad buttons as they are set."""

from __future__ import annotations

from player import theme as look
from player.bindings import COMMANDS, CONTROLS
from player.screen import Screen
from player.widgets import Button, Flow, Text


class Help(Screen):
    """F1."""

    title = "Help"

    def enter(self) -> None:
        self.app.model.pause(True)

    def build(self, flow: Flow) -> None:
        app = self.app
        flow.text(
            "Every frame after the first is made by the world's model. Nothing you play is lost: rewind and act, and what was "
            "there stays as a branch.",
            look.TEXT,
        )
        flow.add(Button("back", "Back", app.pop))
        columns = [int((flow.area.width - 2 * flow.theme.gap) * part) for part in (0.34, 0.34, 0.32)]
        for heading, table in (("In the world", CONTROLS), ("The player", COMMANDS)):
            flow.heading(heading)
            for width, text in zip(columns, ("", "keyboard", "gamepad"), strict=True):
                flow.add(Text(text, 18, look.DIM), width=width)
            flow.newline()
            for target, title in table.items():
                for width, text in zip(columns, (title, app.keys.label(target), app.pad.label(target)), strict=True):
                    flow.add(Text(text, 20, look.TEXT if text == title else look.DIM), width=width)
                flow.newline()
        if app.model.world is not None:
            flow.heading(f"Actions of {app.model.world.name}")
            own = app.settings.worlds.get(app.model.world.name)
            for action in app.model.world.actions:
                mine = own.actions.get(action.id) if own is not None else None
                name = f"{action.name} – {mine.name}" if mine is not None and mine.name else action.name
                keys = " + ".join(action.keys) or "nothing held"
                if mine is not None and (mine.keys or mine.pad):
                    keys += f"; also {app.keys.label(f'action:{action.id}')}, {app.pad.label(f'action:{action.id}')}"
                for width, text in zip(columns[:2], (name, keys), strict=True):
                    flow.add(Text(text, 20, look.TEXT if text == name else look.DIM), width=width)
                flow.newline()
        flow.heading("In the screens")
        flow.text(
            "Arrows, d-pad or left stick: choose. Enter, Space or A: press. Esc, B or Start: back. Tab and Shift+Tab, RB and LB: next and "
            "the one before. Page up and down: scroll. Text with a pad: up and down choose the letter, right goes on, left takes back."
        )
