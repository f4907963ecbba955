"""How fast clips come out of a dataset, cold (every chunk decompressed) and warm, beside what training asks for.

python benchmarks/reader_speed.py data/coinrun
"""

from __future__ import annotations

import time
from pathlib import Path

import typer

from genie.data.clips import ClipSampler
from genie.data.store import Dataset


def main(data: Path, length: int = 16, rows: int = 8, steps: int = 200, skip: int = 2) -> None:
    """Read `steps` batches of rows × length frames twice."""
    sampler = ClipSampler(Dataset(data).split("train"), length, skip, seed=0)
    for state in ("cold", "warm"):
        began = time.perf_counter()
        for step in range(steps):
            sampler.batch(step, rows)
        print(f"{state}: {steps * rows * length / (time.perf_counter() - began):,.0f} frames/s")


if __name__ == "__main__":
    typer.run(main)
