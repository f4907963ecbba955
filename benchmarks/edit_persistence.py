"""Painted things in the shipped CoinRun world: how much of them is still there 30 frames on if nobody acts.

python benchmarks/edit_persistence.py

A crate, a pillar of three, a block of wall and a coin, cut from the world's own prompts, are put on the ground beside the agent in each
of the twelve levels.
"""

from __future__ import annotations

import numpy as np
import typer

import genie
from genie.sessions.session import Session

IDLE = 18  # frames before the edit: the agent has landed, the context is full
STICKS = (1, 5, 15)
FAR = range(8, 28)  # pixels from the middle, where the agent is
EMPTY, SOLID = 250, 300  # sums of red, green and blue: the sky is darker, the ground lighter


def things(world: genie.World) -> dict[str, np.ndarray]:
    """Cut from the prompts: uint8 [h, w, 3] each."""
    looks = {prompt.name: prompt.frames[-1] for prompt in world.prompts}
    red, green, blue = looks["level-03"].transpose(2, 0, 1).astype(int)
    rows, columns = np.nonzero((red > 200) & (green > 170) & (blue < 80))
    return {
        "crate": looks["level-01"][15:20, 49:54],
        "pillar": looks["level-01"][5:20, 49:54],
        "wall": np.tile(looks["level-01"][40:48, 2:10], (2, 1, 1))[:12],
        "coin": looks["level-03"][rows.min() : rows.max() + 1, columns.min() : columns.max() + 1],
    }


def free_place(frame: np.ndarray, size: tuple[int, int]) -> tuple[slice, slice] | None:
    """On the ground in front of the sky, as near to the agent as possible."""
    light, (height, width) = frame.astype(int).sum(-1), size
    for far in FAR:
        for left in (side for side in (32 + far, 32 - far - width) if 2 <= side <= 62 - width):
            for top in range(4, 62 - height):
                box = slice(top, top + height), slice(left, left + width)
                if light[box].max() < EMPTY and light[top + height, box[1]].min() > SOLID:
                    return box
    return None


def main(world: str = "coinrun", backend: str = "auto") -> None:
    """Print the share of the painted pixels that are still there, per thing and `stick`."""
    opened = genie.load_world(world, backend=backend)
    found: dict[tuple[str, int], list[float]] = {}
    for prompt in opened.prompts:
        session = Session.start(opened, prompt.frames, seed=3)
        for _ in range(IDLE):
            session.step("noop")
        place, before = (session.branch, session.index), session.frame
        for name, thing in things(opened).items():
            box = free_place(before, thing.shape[:2])
            for stick in STICKS if box is not None else ():
                painted = before.copy()
                painted[box] = thing
                session.seek(place[1], place[0])
                session.edit(painted, stick)
                found.setdefault((name, stick), []).append(session.try_edit() or 0.0)
        session.close()
    print(f"{opened.backend}: pixels within 16 levels after 30 frames; levels where half of them are")
    for (name, stick), shares in found.items():
        print(f"{name:7} stick {stick:2}: {np.mean(shares):4.0%}   {sum(share >= 0.5 for share in shares)} of {len(shares)}")


if __name__ == "__main__":
    typer.run(main)
