"""The tree of a session as rows: thumbnails, a piano roll of the actions, bookmarks, and a mark that is moved along them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pygame

from genie.sessions.format import Branch
from player import theme as look
from player.app import App
from player.picture_files import thumb_width, thumbnail
from player.theme import Theme
from player.widgets import Widget

THUMB = 44  # pixels high
ROLL = 6  # pixels high, of one action in the piano roll
LEFT = 170  # pixels for the names of branches, at normal letters
PICTURED = 60  # branches that have thumbnails at most, and the cursor's: a picture takes its time


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


def overview(app: App, pruned: bool, width: int) -> Overview:
    """Read the tree, with as many thumbnails as find room in so many pixels (model thread)."""
    session = app.model.settle()
    tree = session.tree
    end = max(1, max(branch.end for branch in tree))
    children: dict[int | None, list[Branch]] = {}
    for branch in tree:
        children.setdefault(branch.parent, []).append(branch)
    line: set[int] = set()  # from the cursor to the root: always shown
    number = session.branch
    while number not in line:
        line.add(number)
        number = tree[number].parent or 0
    every = max(1, -(-end // max(4, width // (thumb_width(session.frame, THUMB) + 6))))
    rows: list[Row] = []
    waiting = [(tree[0], 0)]
    while waiting:
        branch, depth = waiting.pop()
        if branch.id not in line and (branch.kind == "bookmark" or (branch.pruned and not pruned)):
            continue
        marks = [index for index in range(0, end + 1, every) if branch.start <= index <= branch.end]
        if len(rows) >= PICTURED and branch.id not in line:
            marks = []
        pictures = tuple((index, session.frame_at(index, branch.id)) for index in marks)
        rows.append(Row(branch, depth, session.recording.rows(branch.id)["action"].astype(np.int64), pictures))
        waiting += [(child, depth + 1) for child in reversed(children.get(branch.id, []))]
    shown = {row.branch.id for row in rows}
    bookmarks = tuple(branch for branch in tree if branch.kind == "bookmark" and not branch.pruned and branch.parent in shown)
    return Overview(tuple(rows), session.branch, session.index, end, bookmarks, sum(branch.pruned for branch in tree))


class Tree(Widget):
    """The rows. Left and right move the cursor along a branch, up and down from branch to branch, once it was pressed."""

    def __init__(self, theme: Theme, seen: Overview, on_choose: Callable[[int, int], object]) -> None:
        """`on_choose(branch, frame)` when the mark is moved."""
        super().__init__("tree", None, "Enter or A: move with the arrows   Esc or B: out   Page keys: a second at once   or click a frame")
        self._theme, self.seen, self._on_choose = theme, seen, on_choose
        self.row = next(i for i, row in enumerate(seen.rows) if row.branch.id == seen.branch)
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
        fit = max(1, self.rect.height // self.row_height(self._theme))
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
        self.reveal()
        self._on_choose(self.branch.id, self.index)

    def reveal(self) -> None:
        """Scroll to the row of the mark."""
        fit = max(1, self.rect.height // self.row_height(self._theme))
        self.first = max(min(self.first, self.row), self.row - fit + 1)

    def mouse(self, event: pygame.event.Event, position: tuple[int, int]) -> None:
        if event.type == pygame.MOUSEBUTTONDOWN or (event.type == pygame.MOUSEMOTION and event.buttons[0]):
            theme = self._theme
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
                surface.blit(thumbnail(picture, THUMB), (x, y + 1))
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
        wide = max((thumb_width(picture, THUMB) for row in self.seen.rows for _, picture in row.thumbs[:1]), default=THUMB)
        return max(0.05, (self.rect.width - self._left(theme) - wide - 10) / self.seen.end)

    def row_height(self, theme: Theme) -> int:
        """Pixels a row."""
        return max(THUMB + 4 * ROLL + 14, theme.font(18).get_linesize() + theme.font(16).get_linesize() + 16)
