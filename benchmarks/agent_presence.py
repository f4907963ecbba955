"""Is CoinRun's agent there, and only once? Judged by its colours, first on real frames (to know the judge), then on rollouts.

The camera keeps the agent in the middle. Its pixels are beige or white, which walls (bluish), crates (orange) and coins
(yellow) are not. A frame passes where such pixels stand in the middle and no second group of that size stands elsewhere.

    python benchmarks/agent_presence.py coinrun --data data/coinrun --frames 256
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

import genie
from genie.data.store import Dataset
from genie.evaluation.permanence import agent_pixels, agent_there, second_agent


def verdicts(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """bool [T]: the agent is there; bool [T]: there is a second one."""
    agents = agent_pixels(frames)
    return agent_there(agents), second_agent(agents)


def main(
    world: str,
    data: Annotated[Path, typer.Option()],
    frames: int = 256,
    prompts: int = 4,
    hold: Annotated[int, typer.Option(help="Frames a key is held in the mixed row.")] = 8,
    seed: int = 0,
    backend: str = "onnx",
) -> None:
    """Share of frames with exactly one agent: real ones, and rollouts under every named key and under a mix of them."""
    opened = genie.load_world(world, device="cpu", backend=backend)
    real = Dataset(data).split("held_out").frames[::7]
    table = Table("frames", "agent there", "a second one", "exactly one", "exactly one, last quarter")
    named = [action.name for action in opened.actions if action.kind == "recorded"]
    rng = np.random.default_rng(seed)
    mixed = [str(name) for name in rng.choice(named, frames // hold + 1) for _ in range(hold)][:frames]
    scripts = {name: [name] * frames for name in named} | {"mixed": mixed}
    rows = {"real, held-out levels": [real]}
    for name, script in scripts.items():
        chosen = opened.prompts[:: max(1, len(opened.prompts) // prompts)][:prompts]
        batch = opened.start_batch([prompt.frames for prompt in chosen], range(seed, seed + len(chosen)))
        made = np.stack([batch.step([action] * len(chosen)) for action in script], axis=1)
        rows[name] = list(made)
    alone = []
    for name, clips in rows.items():
        judged = [verdicts(clip) for clip in clips]
        there, second = (np.concatenate(column) for column in zip(*judged, strict=True))
        one = np.concatenate([t & ~s for t, s in judged])
        late = np.concatenate([(t & ~s)[-len(t) // 4 :] for t, s in judged])
        table.add_row(name, f"{there.mean():.1%}", f"{second.mean():.1%}", f"{one.mean():.1%}", f"{late.mean():.1%}")
        if not name.startswith("real"):
            alone.append(one.mean())
    Console().print(table)
    print(f"exactly one agent over all keys: {np.mean(alone):.1%}")


if __name__ == "__main__":
    typer.run(main)
