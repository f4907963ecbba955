"""What a key does to the session: save and load a slot, bookmark, reset, undo, re-roll, record. The work is the model thread's."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING

from genie.errors import GenieError
from player import opening
from player.model_thread import Take

if TYPE_CHECKING:
    from genie.sessions.session import Session
    from player.app import App

REROLL_SECONDS = 1.0  # of the take that are played again where it has no rest


def save(app: App) -> None:
    """The session as it stands, into the slot."""
    slot = app.shelf.slot

    def work() -> str:
        session = app.model.settle()
        session.save(app.shelf.slot_path(slot))
        app.shelf.marks.setdefault(session, {})[slot] = (session.branch, session.index)
        return f"Saved to slot {slot}, frame {session.index}."

    app.work(work, app.say)


def load(app: App) -> None:
    """Back to where the slot was saved: at once in the session that is open, else from its file."""
    slot, paused = app.shelf.slot, app.model.paused

    def work() -> str:
        session = app.model.session
        mark = app.shelf.marks.get(session, {}).get(slot) if session is not None else None
        if mark is not None:
            app.model.seek(mark[1], mark[0])
        elif app.shelf.slot_path(slot).is_file():
            opening.go_on(app, app.shelf.slot_path(slot))
        else:
            raise GenieError(f"slot {slot} is empty; {app.keys.label('save')} saves to it.")
        return f"Slot {slot} loaded."

    def loaded(text: str) -> None:
        app.apply_settings()
        app.model.pause(paused or app.away)  # what was opened stands still
        app.rebuild()
        app.say(text)

    app.work(work, loaded)


def slot(app: App) -> None:
    """The next slot."""
    app.say(f"Slot {app.shelf.next_slot()} is chosen.")
    app.rebuild()


def bookmark(app: App) -> None:
    """Mark this frame."""

    def work() -> str:
        session = app.model.settle()
        label = next_mark(session)
        session.bookmark(label)
        return f"Bookmark “{label}” at frame {session.index}."

    app.work(work, app.say)


def next_mark(session: Session) -> str:
    """What the next bookmark is called."""
    return f"mark {1 + sum(branch.kind == 'bookmark' for branch in session.tree)}"


def reset(app: App) -> None:
    """To the first frame, as it was painted if it was; what was played stays a branch."""

    def work() -> None:
        session = app.model.settle()
        app.model.seek(0, session.recording.owner(session.branch, 0))

    app.work(work, lambda _: app.say("From the first frame again; what was played is kept as a branch."))


def undo(app: App) -> None:
    """To where the branch began."""

    app.work(app.model.undo, lambda index: app.say(f"Back at the branch point, frame {index}."))


def reroll(app: App) -> None:
    """Other dice: where the take goes on, from here; at its end the last second once more."""

    def work() -> Generator[int, None, int]:
        session = app.model.settle()
        end = session.recording.branch(session.branch).end
        if session.index < end:
            [number] = session.reroll()
            app.model.seek(session.index, number)
            return number
        number = session.branch
        for number, _ in reroll_many(app, session.branch, end, 1):
            yield number
        app.model.seek(session.recording.branch(number).end, number)
        return number

    app.work(work, lambda number: app.say(f"Re-rolled: branch {number}."), exclusive=True)


def reroll_many(app: App, branch: int, index: int, count: int) -> Iterator[tuple[int, int]]:
    """The rest of a branch from a frame on, `count` times under new salts (model thread, exclusive); at its end, the last second.

    Yields (take, frames it has) after each frame.
    """
    session = app.model.settle()
    if session.recording.branch(branch).end <= index:
        index = max(0, index - round(REROLL_SECONDS * session.world.frame_rate))
    session.seek(index, branch)
    for number, frames in session.reroll_take(count):
        app.model.show("re-roll")
        yield number, frames
    app.model.show("")


def record(app: App) -> None:
    """Begin a take, or end it. Every frame is in the session anyway; a take marks a part of it to be exported."""

    def work() -> str:
        model, session = app.model, app.model.settle()
        if model.take is None:
            model.take = Take(session.branch, session.index)
            return "REC: a take begins."
        label = model.end_take(session)
        if not label:
            return "The take has no frames."
        return f"{label.capitalize()}. Export it from the timeline ({app.keys.label('branches')})."

    app.work(work, app.say)


DEEDS: dict[str, Callable[[App], None]] = {
    "save": save, "load": load, "slot": slot, "bookmark": bookmark, "reset": reset, "undo": undo, "re-roll": reroll, "record": record,
}  # fmt: skip
