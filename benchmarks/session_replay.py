"""A long session: does every frame of every branch replay to the bit, how long does going back take, how large is it?

python benchmarks/session_replay.py --frames 10000 --branches 100
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import typer

import genie
from genie.sessions.reading import read_session
from genie.sessions.replay import replay, verify
from genie.sessions.session import Session

BRANCH_FRAMES = 20  # of each branch; the rest is the trunk
GO_BACK = 200  # places to go back to


def play(session: Session, frames: int, branches: int, rng: np.random.Generator) -> None:
    """A trunk, then branches that leave it or each other: re-rolls, edits, other actions."""

    def act(count: int) -> None:
        for _ in range(-(-count // 6)):
            action = int(rng.integers(len(session.world.actions)))
            for _ in range(min(6, count)):
                session.step(action)
            count -= 6

    act(frames - branches * BRANCH_FRAMES)
    for number in range(branches):
        parent = session.tree[int(rng.integers(len(session.tree)))]
        session.seek(int(rng.integers(max(0, parent.start - 2000), parent.end)), parent.id)
        if number % 3 == 0:
            session.seek(session.index, session.reroll()[0])
        elif number % 3 == 1:
            session.edit(np.roll(session.frame, 5, axis=int(rng.integers(2))))
        act(BRANCH_FRAMES)


def main(frames: int = 10_000, branches: int = 100, world: str = "coinrun", backend: str = "auto") -> None:
    """Play, go back, save, replay twice; print the figures."""
    opened = genie.load_world(world, backend=backend)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        session = Session.start(opened, seed=1, journal=Path(folder) / "journal")
        began = time.perf_counter()
        play(session, frames, branches, rng)
        seconds = time.perf_counter() - began
        recording = session.recording
        step = float(np.median(np.concatenate([recording.rows(branch.id)["step"] for branch in session.tree])) / 10)
        print(f"{opened.backend}: {recording.frames:,} frames, {len(recording) - 1} branches in {seconds:.0f} s; a step {step:.1f} ms")
        spent, steps = [], []
        for _ in range(GO_BACK):
            branch = session.tree[int(rng.integers(len(session.tree)))]
            began = time.perf_counter()
            session.seek(int(rng.integers(branch.end)), branch.id)
            spent.append(time.perf_counter() - began)
            steps.append(session.steps_again)
        print(
            f"going back to {GO_BACK} places: median {np.median(spent):.2f} s, longest {max(spent):.2f} s, over half a second "
            f"{sum(seconds > 0.5 for seconds in spent)}; {max(steps)} steps taken again at most"
        )
        path = Path(folder) / "take.session"
        began = time.perf_counter()
        session.save(path)
        saving = time.perf_counter() - began
        size, log = path.stat().st_size / 1e6, (Path(folder) / "journal" / "log.bin").stat().st_size / 1e6
        hour = 3600 * opened.frame_rate / recording.frames
        print(f"saved in {saving:.2f} s: {size:.2f} MB, {hour * size:.1f} MB an hour; the journal {log:.2f} MB", flush=True)
        session.close()
        began = time.perf_counter()
        again = read_session(path)
        print(f"read in {time.perf_counter() - began:.2f} s")
        opened_again, spent = Session.open(path, opened), []
        for _ in range(GO_BACK // 5):
            branch = again.branch(int(rng.integers(len(again))))
            began = time.perf_counter()
            opened_again.seek(int(rng.integers(branch.end)), branch.id)
            spent.append(time.perf_counter() - began)
        print(f"opened again, going to {len(spent)} places: median {np.median(spent):.2f} s, longest {max(spent):.2f} s", flush=True)
        opened_again.seek(again.branch(0).end, 0)
        began = time.perf_counter()
        for _ in opened_again.prepare():
            pass
        seconds, spent = time.perf_counter() - began, []
        for _ in range(GO_BACK):
            began = time.perf_counter()
            opened_again.seek(int(rng.integers(again.branch(0).end)), 0)
            spent.append(time.perf_counter() - began)
        print(
            f"prepared in {seconds:.0f} s, going to {GO_BACK} places: median {np.median(spent):.2f} s, longest {max(spent):.2f} s",
            flush=True,
        )
        opened_again.close()
        for name, outcome in (("simulated", lambda: verify(again, opened)), ("painted", lambda: replay(again, opened.engine.codec))):
            began = time.perf_counter()
            found = outcome()
            verdict = "equal" if found.equal else f"different from {found.first} on"
            print(f"{name} again: {verdict}, {found.frames:,} frames in {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    typer.run(main)
