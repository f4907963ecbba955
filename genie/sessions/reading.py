"""Opening what was recorded: a .session file or a journal, and which worlds can do what with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genie.bundle import Manifest
from genie.errors import SessionError
from genie.sessions import archive
from genie.sessions.format import WorldReference, tokenizer_digest
from genie.sessions.journal import Journal, read_journal
from genie.sessions.recording import Recording
from genie.world import World


def read_session(path: str | Path) -> Recording:
    """The recording in a .session file or a journal's folder; needs no world.

    Raises:
        SessionError: there is none, or it is damaged, unsafe or of another schema version.
    """
    path = Path(path)
    if path.is_dir():
        return read_journal(path)
    if not path.is_file():
        raise SessionError(f"{path} is neither a {archive.SUFFIX} file nor a journal's folder.")
    return archive.read(path)


def recover(folder: Path, out: Path) -> Recording:
    """Write a crashed session's journal as a .session file; the journal stays, and is no longer listed as crashed.

    Raises:
        SessionError: no journal, a damaged one, or one that is being played.
    """
    recording, journal = Journal.resume(folder)
    recording.log, saved = None, False
    try:
        archive.save(recording, out)
        saved = True
    finally:
        journal.close(ended=saved)
    return recording


def check_same_weights(recording: Recording, world: World, path: Path) -> None:
    """Raises SessionError unless a world is the one that made the recording (others would make other frames) and has all its numbers."""
    made = recording.header.world
    if made.weights == world.manifest.weights_digest:
        _check_numbers(recording, world.manifest, path)
        return
    raise SessionError(
        f"{path} was made with other weights of {made.name!r} than {world.name!r} has ({made.weights[:12]} and "
        f"{world.manifest.weights_digest[:12]}): it cannot be simulated or gone on with here. "
        + (
            "Its frames can be: `genie replay` and `genie session export` paint them from their codes."
            if made.tokenizer == tokenizer_digest(world.manifest)
            else "Get the world that made it."
        )
    )


def check_same_tokenizer(recording: Recording, manifest: Manifest, path: Path) -> None:
    """Raises SessionError unless a world's tokenizer can paint the recording's frames: the same one, and all numbers are in its range."""
    if recording.header.world.tokenizer != tokenizer_digest(manifest):
        raise SessionError(
            f"{path} was made with the tokenizer of another {recording.header.world.name!r} than {manifest.name!r} has: "
            f"its codes mean nothing here. Get the world that made it."
        )
    _check_numbers(recording, manifest, path)


def _check_numbers(recording: Recording, manifest: Manifest, path: Path) -> None:
    """Raises SessionError where a recording says another shape of its world than it has, or holds a scroll beyond its reach.

    Actions are counted, not compared: they can be renamed without changing the weights. A token's range is the vocabulary, which
    `Recording.check` has compared with what the recording says.
    """
    made, here, tokenizer = recording.header.world, WorldReference.of(manifest), manifest.tokenizer
    for name in ("resolution", "positions", "codes", "vocabulary"):
        if getattr(made, name) != getattr(here, name):
            raise SessionError(
                f"{path} says that {made.name!r} has {name} {getattr(made, name)}, but it has {getattr(here, name)}: "
                f"the session was changed or damaged."
            )
    if made.weights == here.weights and len(made.actions) != len(here.actions):
        raise SessionError(
            f"{path} says that {made.name!r} has {len(made.actions)} actions, but it has {len(here.actions)}: "
            f"the session was changed or damaged."
        )
    if not tokenizer.scrolls:
        return
    most = np.zeros(tokenizer.codes, np.int64)
    most[:2] = 2 * np.array(tokenizer.reach)
    for branch in recording.tree:
        if (recording.rows(branch.id)["tokens"][:, -1] > most).any():
            raise SessionError(f"{path}: a frame of branch {branch.id} scrolls further than {made.name!r} can; it was changed or damaged.")
