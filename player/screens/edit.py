"""Edit frame: the studio's tools on the current frame, what the tokenizer keeps of it beside, then play on."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import ref

import numpy as np

from genie.errors import GenieError
from genie.metrics import still_painted
from genie.sessions.session import PERSISTENCE_FRAMES
from player import opening
from player import theme as look
from player.app import App
from player.canvas import Canvas, Toolbox, add_tools
from player.paint import Painting
from player.picture_files import surface_of
from player.screen import Screen
from player.stamps import palette, stamps
from player.widgets import Button, Choice, Flow, Picture

STICKS = (1, 2, 3, 5, 8, 11)


@dataclass(frozen=True, eq=False)
class Kept:
    """The tokenizer's own picture of an edited frame, and how much of the edit is in it."""

    frame: np.ndarray  # uint8 [H, W, 3]
    share: float | None  # of the painted pixels; None: nothing is painted


class Edit(Screen):
    """Acting on goes from the edited picture; what was there before stays a branch."""

    title = "Edit frame"

    def __init__(self, app: App) -> None:
        super().__init__(app)
        world, shown, session = app.model.world, app.model.newest, app.model.session
        assert world is not None and shown is not None and session is not None
        self._session = session
        self._branch, self._index = shown.branch, shown.index  # of the frame that is painted on; the world may be a frame further by now
        self._draft = (ref(self._session), self._branch, self._index)
        if app.memory.get("edit of") != self._draft:
            app.memory["edit of"], app.memory["edit"] = self._draft, Painting(shown.frame)
        self.painting: Painting = app.memory["edit"]  # left and come back to, it is as it was
        self._before = shown.frame.copy()
        looks = [prompt.frames[-1] for prompt in world.prompts]
        self._tools: Toolbox = app.memory.setdefault(f"tools:{world.name}", Toolbox(palette(looks), stamps(looks)))
        self._stick = 5
        self._kept: Kept | None = None
        self.persistence: str = ""

    def enter(self) -> None:
        self.app.model.pause(True)
        self._ask()

    def leave(self) -> None:
        self.app.model.cancel("keeps")

    def build(self, flow: Flow) -> None:
        app = self.app
        height, width = self.painting.frame.shape[:2]
        scale = max(2, min(8, (flow.area.width // 2 - 20) // width, (flow.area.height * 3 // 5) // height))
        flow.heading(f"Frame {self._index}")
        flow.add(Canvas(self.painting, self._tools, scale, self._changed))
        if self._kept is not None:
            share = self._kept.share
            told = "nothing is painted yet" if share is None else f"{share:.0%} of the painted pixels are kept"
            flow.add(Picture("kept", surface_of(self._kept.frame), ("what the tokenizer keeps", told), scale))
        flow.newline()
        flow.add(Button("apply", "Apply and play on", self._apply, "The picture goes into the context; what was there stays a branch."))
        flow.add(
            Choice(
                "stick",
                "stick",
                [str(stick) for stick in STICKS],
                STICKS.index(self._stick),
                self._set_stick,
                "How many of the last frames in the context take the edit: more make it last.",
            )
        )
        flow.add(Button("check", "Try it", self._check, f"How much is still there {PERSISTENCE_FRAMES} frames on if nobody acts."))
        flow.add(Button("revert", "Start over", self._revert))
        flow.newline()
        if self.persistence:
            flow.text(self.persistence, look.ACCENT)
        add_tools(flow, app, self.painting, self._tools, self.rebuild, self._changed)

    def command(self, name: str, down: bool) -> bool:
        if name == "undo" and down:
            if self.painting.undo():
                self._changed()
            return True
        return name == "edit"

    def _set_stick(self, index: int) -> None:
        self._stick = STICKS[index]

    def _changed(self) -> None:
        self.rebuild()
        self._ask()

    def _revert(self) -> None:
        self.painting.replace(self._before)
        self._changed()

    def _ask(self) -> None:
        painted, shown = self.painting.frame.copy(), self._before
        self.app.work(lambda: self._keeps(shown, painted), self._got, "keeps")

    def _keeps(self, shown: np.ndarray, painted: np.ndarray) -> Kept:
        """What the codes of the edited frame say, painted over the frame before it (model thread)."""
        session = self.app.model.settle()
        before = session.frame_at(max(0, self._index - 1), self._branch)
        made = session.world.reconstruct(np.stack([before, painted]))[1]
        touched = (painted != shown).any(axis=-1)
        near = still_painted(made, painted, shown)
        return Kept(made, float(near[touched].mean()) if touched.any() else None)

    def _got(self, kept: Kept) -> None:
        self._kept = kept
        self.rebuild()

    def _apply(self) -> None:
        painted, stick = self.painting.painted(self._before), self._stick
        if painted is None:
            self.app.say("Nothing is painted yet.")
            return

        def work() -> None:
            self._go_there()
            self.app.model.edit(painted, stick)

        def applied(_: object) -> None:
            self.app.memory.pop("edit of", None)
            opening.back_to_play(self.app)

        self.app.work(work, applied, "apply")

    def _go_there(self) -> None:
        """To the frame that is painted on (model thread)."""
        session = self.app.model.settle()
        if session is not self._session:
            raise GenieError("another session was opened meanwhile: go back and edit a frame of that one.")
        if (session.branch, session.index) != (self._branch, self._index):
            self.app.model.seek(self._index, self._branch)

    def _check(self) -> None:
        painted, stick = self.painting.painted(self._before), self._stick
        if painted is None:
            self.app.say("Nothing is painted yet.")
            return

        def work() -> float | None:
            self._go_there()
            return self.app.model.settle().try_edit(painted.frame, stick, painted.held)

        def told(share: float | None) -> None:
            found = "nothing of the edit is in the view" if share is None else f"{share:.0%} of the edit is still there"
            self.persistence = f"{found} {PERSISTENCE_FRAMES} frames on"
            self.rebuild()

        self.app.work(work, told)
