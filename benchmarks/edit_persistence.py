"""Painted things in a CoinRun world: how much of them is there 30 frames on, and whether a painted wall stops who runs into it.

python benchmarks/edit_persistence.py --sheet edits.png

A crate, a pillar of three, a block of wall and a coin, cut from the world's own prompts, are put on the ground beside the agent in each
of the twelve levels. The sheet shows, per level and thing, with hold: the frame as painted, one frame on, 30 frames on.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import typer
from PIL import Image

import genie
from genie.metrics import still_painted
from genie.pictures import grid
from genie.sessions.session import PERSISTENCE_FRAMES, Session

IDLE = 18  # frames before the edit: the agent has landed, the context is full
WAYS = ((1, False), (5, False), (15, False), (5, True))  # stick, hold
FAR = range(8, 28)  # pixels from the middle, where the agent is
EMPTY, SOLID = 250, 300  # sums of red, green and blue: the sky is darker, the ground lighter
RUN = 12  # frames to the right
WALL_HEIGHT = 12  # pixels: too high to walk onto
OPEN_WAY = 20  # pixels of scroll in that run without a wall, from which a level counts


def things(world: genie.World) -> dict[str, np.ndarray]:
    """Cut from the prompts: uint8 [h, w, 3] each."""
    looks = {prompt.name: prompt.frames[-1] for prompt in world.prompts}
    red, green, blue = looks["level-03"].transpose(2, 0, 1).astype(int)
    rows, columns = np.nonzero((red > 200) & (green > 170) & (blue < 80))
    return {
        "crate": looks["level-01"][15:20, 49:54],
        "pillar": looks["level-01"][5:20, 49:54],
        "wall": np.tile(looks["level-01"][40:48, 2:10], (2, 1, 1))[:12],
        "coin": looks["level-03"][rows.min() - 1 : rows.max() + 2, columns.min() - 1 : columns.max() + 2],
    }


def free_place(frame: np.ndarray, size: tuple[int, int], sides: tuple[int, ...] = (1, -1)) -> tuple[slice, slice] | None:
    """On the ground in front of the sky, as near to the agent as possible."""
    light, (height, width) = frame.astype(int).sum(-1), size
    for far in FAR:
        for left in (side for side in (32 + far if way > 0 else 32 - far - width for way in sides) if 2 <= side <= 62 - width):
            for top in range(4, 62 - height):
                box = slice(top, top + height), slice(left, left + width)
                if light[box].max() < EMPTY and light[top + height, box[1]].min() > SOLID:
                    return box
    return None


def walked(session: Session) -> int:
    """Pixels that the view scrolls while right is held for `RUN` frames from the cursor on."""
    start = session.index
    for _ in range(RUN):
        session.step("right")
    tokens = session.recording.path(session.branch).rows["tokens"][start : start + RUN]
    return -int(session.world.engine.codec.unpack(tokens)[1].sum(axis=0)[1])


def main(world: str = "coinrun", backend: str = "auto", sheet: Path | None = None) -> None:
    """Print the share of the painted pixels that are still there, per thing and way, and how far one runs with a wall in the way."""
    opened = genie.load_world(world, backend=backend)
    found: dict[tuple[str, int, bool], list[float]] = {}
    kept: dict[str, list[float]] = {}
    rows: list[np.ndarray] = []
    runs: list[tuple[int, list[int], int]] = []
    for prompt in opened.prompts:
        session = Session.start(opened, prompt.frames, seed=3)
        for _ in range(IDLE):
            session.step("noop")
        place, before = (session.branch, session.index), session.frame
        row: list[np.ndarray] = []
        for name, thing in things(opened).items():
            box = free_place(before, thing.shape[:2])
            for stick, hold in WAYS if box is not None else ():
                painted = before.copy()
                painted[box] = thing
                session.seek(place[1], place[0])
                found.setdefault((name, stick, hold), []).append(session.try_edit(painted, stick, hold) or 0.0)
            if box is not None:
                session.edit(painted, *WAYS[-1])
                held = np.stack([before, *[painted] * PERSISTENCE_FRAMES])
                made = opened.reconstruct(held)[-1]
                kept.setdefault(name, []).append(float(still_painted(made, painted, before)[box].mean()))
                later = [session.step("noop") for _ in range(PERSISTENCE_FRAMES)]
                row += [painted, later[0], later[-1]]
        rows.append(np.stack(row))
        box = free_place(before, (WALL_HEIGHT, 8), (1,))
        session.seek(place[1], place[0])
        far = walked(session)
        if box is not None and far >= OPEN_WAY:
            painted = before.copy()
            painted[box] = np.tile(things(opened)["wall"], (2, 1, 1))[:WALL_HEIGHT]
            stopped = []
            for hold in (False, True):
                session.seek(place[1], place[0])
                session.edit(painted, hold=hold)
                stopped.append(walked(session))
            runs.append((box[1].start - 34, stopped, far))  # the agent's right side is two pixels from the middle
        session.close()
    print(f"{opened.backend}: painted pixels still there after {PERSISTENCE_FRAMES} frames; levels where half of them are")
    for (name, stick, hold), shares in found.items():
        half = sum(share >= 0.5 for share in shares)
        print(f"{name:7} stick {stick:2}{', hold' if hold else '':6}: {np.mean(shares):4.0%}   {half} of {len(shares)}")
    for name, shares in kept.items():
        print(f"{name:7} the tokenizer alone, told so in every frame: {np.mean(shares):4.0%}")
    for free, stopped, far in runs:
        told = f"{stopped[0]} pixels in {RUN} frames, {stopped[1]} with hold, {far} without the wall"
        print(f"a wall {free} pixels to the right: the view scrolls {told}")
    if sheet is not None:
        Image.fromarray(grid(rows)).save(sheet)


if __name__ == "__main__":
    typer.run(main)
