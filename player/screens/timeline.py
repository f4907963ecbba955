"""Timeline and branches: a row a branch with thumbnails and a piano roll of its actions; branch, re-roll, compare, label, prune, export."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pygame

from genie.errors import GenieError
from genie.sessions.format import Branch
from player import opening
from player import theme as look
from player.app import App
from player.deeds import reroll_many
from player.picture_files import surface_of
from player.screen import Screen
from player.theme import Theme
from player.widgets import Button, Choice, Field, Flow, Picture, Text, Widget

THUMB = 44  # pixels a side
ROLL = 6  # pixels high, of one action in the piano roll
LEFT = 170  # pixels for the names of branches, at normal letters
COUNTS = (1, 2, 3, 4, 6, 8)
ROWS = 60  # branches that are shown at most


@dataclass(frozen=True, eq=False)
class Row:
    """One branch as it is drawn."""

    branch: Branch
    depth: int
    actions: np.ndarray  # int [T], its own
    thumbs: tuple[tuple[int, np.ndarray], ...]  # (frame number, uint8 [H, W, 3])


@dataclass(frozen=True, eq=False)
class Overview:
    """The tree as it was when it was asked for."""

    rows: tuple[Row, ...]
    branch: int
    index: int
    end: int  # last frame of all branches
    bookmarks: tuple[Branch, ...]
    hidden: int  # pruned branches


def overview(app: App, pruned: bool, thumbs: int) -> Overview:
    """Read the tree (model thread)."""
    session = app.model.settle()
    tree = session.tree
    end = max(1, max(branch.end for branch in tree))
    children: dict[int | None, list[Branch]] = {}
    for branch in tree:
        children.setdefault(branch.parent, []).append(branch)
    rows: list[Row] = []

    def visit(branch: Branch, depth: int) -> None:
        if branch.kind == "bookmark" or (branch.pruned and not pruned) or len(rows) >= ROWS:
            return
        every = max(1, -(-end // thumbs))
        marks = [index for index in range(0, end + 1, every) if branch.start <= index <= branch.end]
        pictures = tuple((index, session.frame_at(index, branch.id)) for index in marks)
        rows.append(Row(branch, depth, session.recording.rows(branch.id)["action"].astype(np.int64), pictures))
        for child in children.get(branch.id, []):
            visit(child, depth + 1)

    visit(tree[0], 0)
    marks = tuple(branch for branch in tree if branch.kind == "bookmark" and not branch.pruned)
    return Overview(tuple(rows), session.branch, session.index, end, marks, sum(branch.pruned for branch in tree))


class Tree(Widget):
    """The rows. Left and right move the cursor along a branch, up and down from branch to branch, once it was pressed."""

    def __init__(self, screen: Timeline, seen: Overview) -> None:
        super().__init__("tree", None, "Enter or A: move with the arrows   Esc or B: out   Page keys: a second at once   or click a frame")
        self._screen, self.seen = screen, seen
        self.row = next((i for i, row in enumerate(seen.rows) if row.branch.id == seen.branch), 0)
        self.index = seen.index
        self.first = 0  # row at the top
        used = sorted({int(action) for row in seen.rows for action in np.unique(row.actions)})
        self._lane = {action: lane for lane, action in enumerate(used)}

    @property
    def branch(self) -> Branch:
        """The one that is chosen."""
        return self.seen.rows[self.row].branch

    def size(self, theme: Theme, room: int) -> tuple[int, int]:
        return room, self.row_height(theme) * len(self.seen.rows) + 6

    def scroll(self, rows: int) -> None:
        """Show other rows."""
        fit = max(1, self.rect.height // self.row_height(self._screen.app.theme))
        self.first = max(0, min(self.first + rows, len(self.seen.rows) - fit))

    def press(self) -> None:
        self.captured = not self.captured

    def turn(self, direction: str) -> bool:
        if not self.captured:
            return False
        if direction in ("left", "right"):
            self.choose(self.row, self.index + (1 if direction == "right" else -1))
        else:
            self.choose(self.row + (1 if direction == "down" else -1), self.index)
        return True

    def command(self, name: str) -> bool:
        if self.captured and name in ("lb", "rb"):
            self.choose(self.row, self.index + (15 if name == "rb" else -15))
            return True
        return False

    def choose(self, row: int, index: int) -> None:
        """Move the mark; the frame is shown above."""
        self.row = max(0, min(row, len(self.seen.rows) - 1))
        self.index = max(0, min(index, self.branch.end))
        fit = max(1, self.rect.height // self.row_height(self._screen.app.theme))
        self.first = max(min(self.first, self.row), self.row - fit + 1)
        self._screen.chosen(self.branch.id, self.index)

    def mouse(self, event: pygame.event.Event, position: tuple[int, int]) -> None:
        if event.type == pygame.MOUSEBUTTONDOWN or (event.type == pygame.MOUSEMOTION and event.buttons[0]):
            theme = self._screen.app.theme
            left, each = self._left(theme), self._each(theme)
            self.choose(self.first + position[1] // self.row_height(theme), max(0, round((position[0] - left) / each)))

    def draw(self, surface: pygame.Surface, rect: pygame.Rect, theme: Theme, focused: bool) -> None:
        left, each, high = rect.x + self._left(theme), self._each(theme), self.row_height(theme)
        clip = surface.get_clip()
        surface.set_clip(rect.clip(clip))
        tops = {row.branch.id: rect.y + (number - self.first) * high for number, row in enumerate(self.seen.rows)}
        for number, row in enumerate(self.seen.rows):
            branch, y = row.branch, tops[row.branch.id]
            if y + high <= rect.y or y >= rect.bottom:
                continue
            colour = look.SERIES[branch.id % len(look.SERIES)] if not branch.pruned else look.OFF
            if number == self.row:
                pygame.draw.rect(surface, look.PANEL, (rect.x, y, rect.width, high - 2), border_radius=5)
            name = branch.label or branch.kind
            title = theme.fitted(f"{branch.id}  {name}", self._left(theme) - 16, 18, colour)
            surface.blit(title, (rect.x + 6, y + 6))
            detail = (
                f"{branch.start}–{branch.end}" + (f", salt {branch.salt}" if branch.salt else "") + (", pruned" if branch.pruned else "")
            )
            surface.blit(theme.fitted(detail, self._left(theme) - 16, 16, look.DIM), (rect.x + 6, y + 8 + theme.font(18).get_linesize()))
            first, last = left + round(branch.start * each), left + round(branch.end * each)
            if branch.parent in tops:
                pygame.draw.line(surface, colour, (first, tops[branch.parent] + high // 2), (first, y + THUMB // 2), 2)
            pygame.draw.line(surface, colour, (first, y + THUMB + 3), (max(first + 3, last), y + THUMB + 3), 3)
            for index, picture in row.thumbs:
                x = left + round(index * each)
                surface.blit(pygame.transform.scale(surface_of(picture), (THUMB, THUMB)), (x, y + 1))
            self._draw_roll(surface, row, left, y + THUMB + 7, each)
        for mark in self.seen.bookmarks:
            if mark.parent in tops:
                x, y = left + round(mark.start * each), tops[mark.parent] + THUMB
                pygame.draw.polygon(surface, theme.bad, [(x, y), (x - 6, y - 10), (x + 6, y - 10)])
        x, y = left + round(self.index * each), tops[self.branch.id]
        pygame.draw.line(surface, look.TEXT, (x, y), (x, y + high - 4), 2)
        surface.blit(theme.text(str(self.index), 16), (x + 4, y + high - 4 - theme.font(16).get_linesize()))
        surface.set_clip(clip)

    def _draw_roll(self, surface: pygame.Surface, row: Row, left: int, y: int, each: float) -> None:
        """One stroke for each run of an action, a line of its own for each action."""
        actions = row.actions
        if not len(actions):
            return
        bounds = [0, *(np.flatnonzero(np.diff(actions)) + 1).tolist(), len(actions)]
        lane = max(2.0, 4 * ROLL / max(1, len(self._lane)))
        for first, last in pairwise(bounds):
            action = int(actions[first])
            x0, x1 = left + round((row.branch.start + first) * each), left + round((row.branch.start + last) * each)
            box = pygame.Rect(x0, y + round(self._lane[action] * lane), max(1, x1 - x0), max(2, round(lane)))
            pygame.draw.rect(surface, look.SERIES[self._lane[action] % len(look.SERIES)], box)

    def _left(self, theme: Theme) -> int:
        return round(LEFT * min(theme.scale, 1.6))

    def _each(self, theme: Theme) -> float:
        """Pixels a frame."""
        return max(0.05, (self.rect.width - self._left(theme) - THUMB - 10) / self.seen.end)

    def row_height(self, theme: Theme) -> int:
        """Pixels a row."""
        return max(THUMB + 4 * ROLL + 14, theme.font(18).get_linesize() + theme.font(16).get_linesize() + 16)


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
        self._pruned = False

    def enter(self) -> None:
        self.app.model.pause(True)
        self.refresh()

    def leave(self) -> None:
        self.app.model.cancel("re-roll")

    def refresh(self) -> None:
        """Read the tree again."""
        width = self.body.width
        thumbs = max(4, (width - LEFT) // (THUMB + 6))
        self.app.work(lambda: overview(self.app, self._pruned, thumbs), self._arrived, "overview")

    def _arrived(self, seen: Overview) -> None:
        self.seen = seen
        captured = self._tree.captured if self._tree is not None else False
        first = self._tree.first if self._tree is not None else 0
        self._tree = Tree(self, seen)
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
        self._frame, self._other_frame = pictures
        for widget in self.widgets:
            if isinstance(widget, Picture) and widget.key == "chosen":
                widget.picture = surface_of(self._frame)
            elif isinstance(widget, Picture) and widget.key == "other" and self._other_frame is not None:
                widget.picture = surface_of(self._other_frame)
            elif isinstance(widget, Text) and widget.key == "where":
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

    def _build_buttons(self, flow: Flow) -> None:
        left = max((widget.rect.right for widget in flow.widgets), default=0) + flow._theme.gap
        top = flow.widgets[0].rect.y if flow.widgets else flow.area.y
        inner = Flow(pygame.Rect(left, top, max(240, flow.area.width - left), flow.area.height), flow._theme)
        branch = self._tree.branch if self._tree is not None else None
        assert branch is not None
        inner.add(Button("here", "Play from here", self._play_here, "Go to this frame; acting there begins a branch, nothing is lost."))
        inner.add(
            Button("re-roll", f"Re-roll ×{self._count}", self._reroll, "The rest of this branch again under new salts, beside each other.")
        )
        inner.add(Choice("count", "×", [str(count) for count in COUNTS], COUNTS.index(self._count), self._set_count))
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
        flow.widgets += inner.widgets
        flow._line = max(flow._line, inner.bottom - top)

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
        if event.type == pygame.MOUSEWHEEL and self._tree is not None:
            self._tree.scroll(-event.y)
            self.app.dirty = True
        else:
            super().mouse(event)

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

        def work() -> Iterator[int]:
            yield from reroll_many(self.app, branch, index, count)

        self.app.say(f"Re-rolling {count} times …")
        self.app.work(work, lambda _: self.refresh(), "re-roll", exclusive=True)

    def _compare(self) -> None:
        tree = self._tree
        if self._other is None and tree is not None:
            self._other = (tree.branch.id, tree.index)
            self.app.say("Now choose another branch: both are shown at the same frame.")
        else:
            self._other = self._other_frame = None
        if tree is not None:
            self.chosen(tree.branch.id, tree.index)
            self.app.work(lambda: None, lambda _: self.rebuild())

    def _label(self, text: str) -> None:
        tree = self._tree
        if tree is not None:
            number = tree.branch.id
            self._do(lambda session: session.label(number, text))

    def _bookmark(self) -> None:
        self._do(lambda session: session.bookmark("mark"), "Bookmarked.")

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
            row = next((i for i, row in enumerate(self.seen.rows) if row.branch.id == mark.parent), self._tree.row)
            self._tree.choose(row, mark.start)
