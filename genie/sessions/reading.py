"""Opening what was recorded: a .session file or a journal, and which worlds can do what with it."""

from __future__ import annotations

from pathlib import Path

from genie.bundle import Manifest
from genie.errors import SessionError
from genie.sessions import archive
from genie.sessions.format import tokenizer_digest
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
    recording.log = None
    archive.save(recording, out)
    journal.close()
    return recording


def check_same_weights(recording: Recording, world: World, path: Path) -> None:
    """Raises SessionError unless a world is the one that made the recording: others would make other frames."""
    made = recording.header.world
    if made.weights == world.manifest.weights_digest:
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
    """Raises SessionError unless a world's tokenizer can paint the recording's frames."""
    if recording.header.world.tokenizer != tokenizer_digest(manifest):
        raise SessionError(
            f"{path} was made with the tokenizer of another {recording.header.world.name!r} than {manifest.name!r} has: "
            f"its codes mean nothing here. Get the world that made it."
        )
