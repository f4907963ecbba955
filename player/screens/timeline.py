"""Timeline and branches: a row a branch with thumbnails and a piano roll of its actions; branch, re-roll, compare, label, prune, export."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pygame

from genie.errors import GenieError
from player import opening
from player import theme as look
from player.app import App
from player.deeds import next_mark, reroll_many
from player.jobs import Job
from player.picture_files import surface_of
from player.screen import Screen
from player.tree import LEFT, Overview, Tree, overview
from player.widgets import Button, Choice, Field, Flow, Picture, Text

COUNTS = (1, 2, 3, 4, 6, 8)


class Timeline(Screen):
    """The tree with what can be done to it."""

    title = "Timeline and branches"

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self.seen: Overview | None = None
        self._tree: Tree | None = None
        self._frame: np.ndarray | None = None
        self._other: tuple[int, int] | None = None  # what the chosen frame is compared with
        self._other_frame: np.ndarray | None = None
        self._count = 3
        self._rerolling: Job | None = None
        self._pruned = False

    def enter(self) -> None:
        self.app.model.pause(True)
        self.refresh()

    def leave(self) -> None:
        self.app.model.cancel("re-roll")

    def refresh(self) -> None:
        """Read the tree again."""
        width = self.body.width - LEFT
        self.app.work(lambda: overview(self.app, self._pruned, width), self._arrived, "overview")

    def _arrived(self, seen: Overview) -> None:
        self.seen = seen
        captured = self._tree.captured if self._tree is not None else False
        first = self._tree.first if self._tree is not None else 0
        self._tree = Tree(self.app.theme, seen, self.chosen)
        self._tree.captured, self._tree.first = captured, first
        self.chosen(self._tree.branch.id, self._tree.index)
        self.rebuild()

    def chosen(self, branch: int, index: int) -> None:
        """Another frame is marked: fetch its picture."""
        self.app.work(lambda: self._pictures(branch, index), self._got, "thumb")

    def _pictures(self, branch: int, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        session = self.app.model.session
        if session is None:
            raise GenieError("no session is open.")
        other = None
        if self._other is not None:
            last = session.recording.branch(self._other[0]).end
            other = session.frame_at(min(index, last), self._other[0])
        return session.frame_at(index, branch), other

    def _got(self, pictures: tuple[np.ndarray, np.ndarray | None]) -> None:
        fresh = (self._frame is None, self._other_frame is None) != (False, pictures[1] is None)
        self._frame, self._other_frame = pictures
        if fresh:
            self.rebuild()
            return
        for widget in self.widgets:
            if isinstance(widget, Picture) and widget.key == "chosen":
                widget.picture = surface_of(self._frame)
            elif isinstance(widget, Picture) and widget.key == "other" and self._other_frame is not None:
                widget.picture = surface_of(self._other_frame)
            elif isinstance(widget, Text) and widget.key == "where" and self._rerolling is None:
                widget.text = self._where()
        self.app.dirty = True

    def build(self, flow: Flow) -> None:
        if self.seen is None or self._tree is None:
            flow.text("reading the tree …")
            return
        if self._frame is not None:
            flow.add(Picture("chosen", surface_of(self._frame), (), 3))
        if self._other_frame is not None and self._other is not None:
            flow.add(Picture("other", surface_of(self._other_frame), (), 3))
        self._build_buttons(flow)
        flow.newline()
        flow.add(Text(self._where(), 18, look.DIM, key="where"), width=flow.area.width)
        flow.newline()
        room = self.body.height - flow.bottom - 8
        flow.add(self._tree, height=max(2 * self._tree.row_height(self.app.theme), room))
        self._tree.reveal()

    def _build_buttons(self, flow: Flow) -> None:
        inner = flow.beside()
        branch = self._tree.branch if self._tree is not None else None
        assert branch is not None
        if self._rerolling is not None:
            inner.add(Button("stop", "Stop re-rolling", self._stop, "What is done of it stays."))
        inner.add(Button("here", "Play from here", self._play_here, "Go to this frame; acting there begins a branch, nothing is lost."))
        inner.add(
            Button("re-roll", f"Re-roll ×{self._count}", self._reroll, "The rest of this branch again under new salts, beside each other.")
        )
        inner.add(Choice("count", "times", [str(count) for count in COUNTS], COUNTS.index(self._count), self._set_count))
        inner.add(
            Button(
                "compare",
                "Compare with …" if self._other is None else "Stop comparing",
                self._compare,
                "Keep this branch as the second picture, then choose another one.",
                on=self._other is not None,
            )
        )
        inner.add(Field("label", "Label", branch.label, self._label, "Press to write.", 60))
        inner.add(Button("bookmark", "Bookmark", self._bookmark))
        inner.add(Button("prune", "Bring back" if branch.pruned else "Prune", self._prune, "Out of sight; it stays in the file."))
        if self.seen is not None and (self.seen.hidden or self._pruned):
            inner.add(Button("pruned", f"{self.seen.hidden} pruned", self._show_pruned, "Show them, or not.", on=self._pruned))
        inner.add(Button("undo", "To the branch point", lambda: self._do(lambda session: session.undo_to_branch_point())))
        inner.add(Button("export", "Export this path …", self._export, "A video, pictures, actions or a dataset."))
        if self.seen is not None and self.seen.bookmarks:
            names = [f"{mark.label or 'mark'} @ {mark.start}" for mark in self.seen.bookmarks]
            inner.add(Choice("marks", "Go to", ["–", *names], 0, self._go_to_mark))
        flow.take(inner)

    def _where(self) -> str:
        if self._tree is None or self._tree.branch is None:
            return ""
        branch, index = self._tree.branch, self._tree.index
        actions = self._tree.seen.rows[self._tree.row].actions
        text = f"branch {branch.id}, frame {index}"
        if self.app.model.world is not None and branch.start < index <= branch.start + len(actions):
            text += f", made by “{self.app.model.world.actions[int(actions[index - branch.start - 1])].name}”"
        if self._other is not None:
            text += f"   beside branch {self._other[0]}"
            if self._frame is not None and self._other_frame is not None:
                error = float(((self._frame.astype(np.float64) - self._other_frame) ** 2).mean())
                text += "   equal" if error == 0 else f"   PSNR {10 * np.log10(255**2 / error):.1f} dB"
        return text

    def command(self, name: str, down: bool) -> bool:
        if not down:
            return False
        deeds = {
            "re-roll": self._reroll,
            "bookmark": self._bookmark,
            "branches": self.app.pop,
            "undo": lambda: self._do(lambda session: session.undo_to_branch_point()),
        }
        if name in deeds:
            deeds[name]()
            return True
        return False

    def page(self, step: int) -> None:
        if self._tree is not None and self._tree.captured:
            self._tree.choose(self._tree.row, self._tree.index + 15 * step)
        else:
            super().page(step)

    def mouse(self, event: pygame.event.Event) -> None:
        if event.type == pygame.MOUSEWHEEL and self._tree is not None and self._over_tree():
            self._tree.scroll(-event.y)
            self.app.dirty = True
        else:
            super().mouse(event)

    def _over_tree(self) -> bool:
        """Whether the mouse is on the tree, which scrolls by itself."""
        assert self._tree is not None
        rect = self._tree.rect.move(self.body.x, self.body.y - self.scroll)
        return rect.collidepoint(pygame.mouse.get_pos()) and self.body.collidepoint(pygame.mouse.get_pos())

    def _do(self, deed: object, say: str = "") -> None:
        """Something to the session at the chosen frame, then read the tree again."""
        tree = self._tree
        if tree is None:
            return
        branch, index = tree.branch.id, tree.index

        def work() -> None:
            session = self.app.model.settle()
            session.seek(index, branch)
            deed(session)  # type: ignore[operator]
            self.app.model.show("")

        def done(_: object) -> None:
            if say:
                self.app.say(say)
            self.refresh()

        self.app.work(work, done)

    def _play_here(self) -> None:
        tree = self._tree
        if tree is not None:
            branch, index = tree.branch.id, tree.index
            self.app.work(lambda: self.app.model.seek(index, branch), lambda _: opening.back_to_play(self.app))

    def _set_count(self, index: int) -> None:
        self._count = COUNTS[index]
        self.rebuild()

    def _reroll(self) -> None:
        tree = self._tree
        if tree is None:
            return
        branch, index, count = tree.branch.id, tree.index, self._count

        def work() -> Iterator[str]:
            numbers: dict[int, None] = {}
            for number, frames in reroll_many(self.app, branch, index, count):
                numbers[number] = None
                yield f"Re-rolling: take {len(numbers)} of {count}, frame {frames}"

        self._rerolling = self.app.work(work, self._rerolled, "re-roll", self._stopped, exclusive=True)
        self.rebuild()

    def _rerolled(self, _: object = None) -> None:
        self._rerolling = None
        self.refresh()

    def _stopped(self, error: Exception) -> None:
        self.app.failed(error)
        self._rerolled()

    def _stop(self) -> None:
        """What is done of the re-rolls stays."""
        self.app.model.cancel("re-roll")
        self._rerolled()

    def tick(self) -> None:
        told: str | None = self._rerolling.progress if self._rerolling is not None else None
        for widget in self.widgets:
            if told is not None and isinstance(widget, Text) and widget.key == "where" and widget.text != told:
                widget.text = told
                self.app.dirty = True

    def _compare(self) -> None:
        tree = self._tree
        if tree is None:
            return
        if self._other is None:
            self._other = (tree.branch.id, tree.index)
            self.app.say("Now choose another branch: both are shown at the same frame.")
        else:
            self._other = None
        self.chosen(tree.branch.id, tree.index)

    def _label(self, text: str) -> None:
        tree = self._tree
        if tree is not None:
            number = tree.branch.id
            self._do(lambda session: session.label(number, text))

    def _bookmark(self) -> None:
        self._do(lambda session: session.bookmark(next_mark(session)), "Bookmarked.")

    def _prune(self) -> None:
        tree = self._tree
        if tree is None:
            return
        branch = tree.branch

        def work() -> None:
            session = self.app.model.settle()
            inside = any(part[0] == branch.id for part in session.recording.line(session.branch, session.index))
            if not branch.pruned and inside and branch.parent is not None:
                session.seek(branch.start, branch.parent)  # the cursor is on it: step off
            session.prune(branch.id, not branch.pruned)
            if session.recording.branch(session.branch).pruned:  # it stood where the branch begins
                session.seek(session.index, session.recording.owner(session.branch, session.index))
            self.app.model.show("")

        self.app.work(work, lambda _: self.refresh())

    def _show_pruned(self) -> None:
        self._pruned = not self._pruned
        self.refresh()

    def _export(self) -> None:
        tree = self._tree
        if tree is not None:
            from player.screens.export import Export

            self.app.push(Export(self.app, branch=tree.branch.id))

    def _go_to_mark(self, index: int) -> None:
        if self.seen is not None and self._tree is not None and index:
            mark = self.seen.bookmarks[index - 1]
            row = next(i for i, row in enumerate(self.seen.rows) if row.branch.id == mark.parent)
            self._tree.choose(row, mark.start)
