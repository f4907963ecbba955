"""What each part of the dynamics is worth: the same run, from nothing, with one thing changed at a time, for equally many steps.

python benchmarks/ablations.py runs/coinrun --data data/coinrun --out runs/ablations --steps 600

The run's tokenizer, latent actions and tokens are taken as they are. Each variant is a folder of `--out` (a killed one goes on) and a line
of `ablations.ndjson`; those that are there are not trained again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import numpy as np
import torch
import typer
from rich.console import Console
from torch import Tensor, nn

from genie.data.clips import ClipSampler
from genie.data.store import UNKNOWN_ACTION, Dataset
from genie.dynamics import Dynamics, masked_loss, rotary
from genie.horizons import PROMPT_FRAMES, clips_in_motion
from genie.runtime.actions import ActionTable
from genie.runtime.torch_engine import TorchEngine
from genie.training import dynamics_stage
from genie.training.checkpoints import load_tensors
from genie.training.dynamics_stage import DynamicsData, DynamicsObjective
from genie.training.loop import Plan, Validation, train
from genie.training.pipeline import Pipeline
from genie.training.settings import read_settings
from tokenizer.model import to_float
from tokenizer.motion import move


class Prepended(Dynamics):
    """The action is one more position of its slot, before the others; beside it only the head of the scrolls hears of it, as everywhere.

    It has no graph to roll out with.
    """

    def forward(self, frames: Tensor, codes: Tensor, known: Tensor, actions: Tensor, moved: Tensor | None = None) -> Tensor:
        x = self._embed(self.embed_frames(frames, moved), codes, known, actions) - self.action(actions)[:, :, None]
        x = torch.cat([self.action(actions)[:, :, None], x], dim=2)
        slots = torch.arange(x.shape[1])
        age = slots[:, None] - slots
        mask = torch.zeros(age.shape).masked_fill((age < 0) | (age >= self.config.context), -torch.inf)
        for block in self.blocks:
            x = block(x, actions, rotary(slots, self.config.head_width), mask)
        return self._logits(x[:, :, 1:])


def without_film(model: Dynamics) -> None:
    """The action is added to every position, and no block hears of it again."""
    for block in model.blocks:
        block.modulation.requires_grad_(False)  # it begins as nothing


def only_film(model: Dynamics) -> None:
    """The action scales and shifts what every block reads, and is not added."""
    nn.init.zeros_(model.action.weight)
    model.action.requires_grad_(False)


def all_hidden(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """No code of any slot is shown, as in a single pass."""
    return torch.zeros(shape, dtype=torch.bool)


def cosine_everywhere(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """A cosine share of the codes is shown in every slot (MaskGIT as published)."""
    b, t, n, g = shape
    shown = 1 - torch.cos(torch.rand((b, t, 1, 1), generator=generator) * torch.pi / 2)
    return torch.rand((b, t, n, g), generator=generator) < shown


def only_latent(rng: np.random.Generator, latent: np.ndarray, recorded: np.ndarray, table: ActionTable) -> np.ndarray:
    """Latent codes in all rows."""
    return latent.astype(np.int64)


def only_recorded(rng: np.random.Generator, latent: np.ndarray, recorded: np.ndarray, table: ActionTable) -> np.ndarray:
    """Recorded actions in all rows: the true-action mode."""
    return recorded.astype(np.int64) + table.latent


@dataclass(frozen=True)
class Variant:
    """One thing that is done in another way."""

    shape: dict[str, int] = field(default_factory=dict)  # of the dynamics
    model: type[Dynamics] = Dynamics
    change: Callable[[Dynamics], None] = lambda model: None  # of a new model
    lesson: dict[str, Any] = field(default_factory=dict)  # names of genie.training.dynamics_stage
    data: dict[str, Any] = field(default_factory=dict)  # of DynamicsData


AS_SHIPPED = "as shipped"
CLEAN = {"FRAME_NOISE": 0.0, "WRONG_CODES": 0.0, "DAMAGED_SHARE": 0.0}
VARIANTS = {
    AS_SHIPPED: Variant(),
    "action added, no FiLM": Variant(change=without_film),
    "FiLM, action not added": Variant(change=only_film),
    "action prepended": Variant(model=Prepended, change=without_film),
    "context 2": Variant(shape={"context": 2}),
    "context 4": Variant(shape={"context": 4}),
    "context 8": Variant(shape={"context": 8}),
    "clean contexts": Variant(lesson=CLEAN),
    "clean contexts, tokenizer's frames only": Variant(lesson=CLEAN, data={"real_share": 0.0}),
    "all codes hidden": Variant(lesson={"random_known": all_hidden}),
    "cosine share in every slot": Variant(lesson={"random_known": cosine_everywhere}),
    "latent actions only": Variant(lesson={"mixed_actions": only_latent}),
    "recorded actions only": Variant(lesson={"mixed_actions": only_recorded}),
    "width 128, 4 layers": Variant(shape={"width": 128, "layers": 4}),
    "width 384": Variant(shape={"width": 384, "heads": 6}),
}


@contextmanager
def told(variant: Variant) -> Iterator[None]:
    """The stage with a variant's way of doing things."""
    with ExitStack() as stack:
        for name, value in {**variant.lesson, "Dynamics": variant.model}.items():
            stack.enter_context(patch.object(dynamics_stage, name, value))
        yield


@torch.no_grad()
def nats(objective: DynamicsObjective, engine: TorchEngine, pipeline: Pipeline, clips: int) -> dict[str, float]:
    """What a code of held-out frames costs, all hidden at once, under the true actions, and how much more under random ones."""
    settings, tokenizer, latent = pipeline.settings, objective._tokenizer, pipeline.latent_config.actions
    sampler = ClipSampler(pipeline.dataset.split("held_out"), PROMPT_FRAMES + settings.slots, settings.skip, settings.seed)
    chosen = clips_in_motion(sampler, clips)
    watched = list(engine.codec.watch(chosen.frames))[1:]
    around = to_float(torch.from_numpy(np.stack([shown.around for shown, _ in watched[:-1]], axis=1)))
    frames, shape = to_float(torch.from_numpy(chosen.frames)), around.shape[:2]
    scroll = torch.from_numpy(np.stack([engine.codec.motion(tokens) for _, tokens in watched[1:]], axis=1))
    moved = move(around.flatten(0, 1), scroll.flatten(0, 1), tokenizer.config.margin)
    codes = tokenizer.encode(moved, frames[:, 2:].flatten(0, 1)).unflatten(0, shape)
    pairs, hidden = torch.cat([frames[:, :-2], frames[:, 1:-1]], dim=2), torch.zeros_like(codes, dtype=torch.bool)
    found = {}
    kinds = {"latent": (engine.codec.infer_actions(chosen.frames), 0, latent)}
    if (chosen.actions != UNKNOWN_ACTION).all():
        kinds["recorded"] = (chosen.actions + latent, latent, pipeline.dynamics_config.actions)
    for kind, (true, low, high) in kinds.items():
        random = np.random.default_rng([settings.seed, 5]).integers(low, high, size=shape)
        cost = [
            masked_loss(
                objective.model(pairs, codes, hidden, torch.from_numpy(ids), moved.unflatten(0, shape)),
                codes,
                hidden,
                torch.ones(codes.shape),
            )
            for ids in (true[:, 1:], random)
        ]
        found |= {f"nats_{kind}": cost[0].item(), f"more_by_random_{kind}": (cost[1] - cost[0]).item()}
    return found


def judge(objective: DynamicsObjective, pipeline: Pipeline, clips: int) -> dict[str, float]:
    """All figures of a trained variant."""
    objective.model.eval()
    engine = TorchEngine(objective._tokenizer, objective._latent_actions, objective.model)
    found = nats(objective, engine, pipeline, clips)
    return found if isinstance(objective.model, Prepended) else found | objective.validate().metrics


def run_variant(name: str, pipeline: Pipeline, out: Path, steps: int, clips: int, console: Console) -> dict[str, Any]:
    """Train and judge one variant."""
    variant, settings = VARIANTS[name], pipeline.settings
    config = pipeline.dynamics_config.model_copy(update=variant.shape)
    data = DynamicsData(
        rows=settings.stages["dynamics"].rows,
        slots=settings.slots,
        skip=settings.skip,
        seed=settings.seed,
        validation_clips=clips,
        **variant.data,
    )
    with told(variant), torch.random.fork_rng():
        objective = DynamicsObjective(
            pipeline.dataset, pipeline.run / "tokens", pipeline._tokenizer(), pipeline._latent_actions(), config, pipeline.table, data,
            settings.sampling,
        )  # fmt: skip
        if variant.model is Prepended:
            objective.validate = lambda: Validation({})  # type: ignore[method-assign]
        variant.change(objective.model)
        plan = Plan(steps=steps, learning_rate=settings.stages["dynamics"].learning_rate, seed=settings.seed, validate_seconds=1e9)
        train(objective, plan, out, console)
    row: dict[str, Any] = {"variant": name, "steps": steps, "parameters": sum(p.numel() for p in objective.model.parameters())}
    tensors, numbers = load_tensors(out / "dynamics" / "checkpoint.safetensors")
    row |= {"seconds": numbers["seconds"], **judge(objective, pipeline, clips)}
    if name == AS_SHIPPED:  # the same training without the average over its weights
        objective.model.load_state_dict({key.removeprefix("model/"): value for key, value in tensors.items() if key.startswith("model/")})
        row["without_average"] = judge(objective, pipeline, clips)
    return row


def main(
    run: Path,
    data: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
    steps: int = 600,
    clips: int = 64,
    only: Annotated[list[str] | None, typer.Option(help="A variant; may be repeated. Default: all.")] = None,
    threads: int = 1,
) -> None:
    """Train every variant and print a table of them in Markdown."""
    torch.set_num_threads(threads)
    console = Console()
    pipeline = Pipeline(Dataset(data), run, read_settings(run), console)
    out.mkdir(parents=True, exist_ok=True)
    file = out / "ablations.ndjson"
    rows = {row["variant"]: row for row in map(json.loads, file.read_text().splitlines())} if file.exists() else {}
    for name in only or VARIANTS:
        if name not in VARIANTS:
            raise typer.BadParameter(f"there is no variant {name!r}; choose from {'; '.join(VARIANTS)}.")
        if name not in rows:
            console.print(f"[bold]{name}")
            rows[name] = run_variant(name, pipeline, out / name.replace(" ", "-").replace(",", ""), steps, clips, console)
            with file.open("a") as lines:
                lines.write(json.dumps(rows[name]) + "\n")
    shown = [*rows.values()]
    shown += [
        {**row, **row["without_average"], "variant": f"{name}, weights not averaged"}
        for name, row in rows.items()
        if "without_average" in row
    ]
    columns = {"nats_recorded": "nats", "more_by_random_recorded": "by random", "nats_latent": "nats, latent", "psnr_1_recorded": "1 on"}
    columns |= {
        "psnr_4_recorded": "4",
        "psnr_10_recorded": "10",
        "delta_4_recorded": "Δ_4",
        "psnr_1": "latent 1",
        "psnr_4": "4",
        "delta_4": "Δ_4",
    }
    print("| " + " | ".join(("variant", "parameters", "s / step", *columns.values())) + " |\n" + "|---" * (3 + len(columns)) + "|")
    for row in shown:
        figures = (f"{row[key]:.2f}" if key in row else "–" for key in columns)
        print(
            "| " + " | ".join((row["variant"], f"{row['parameters'] / 1e6:.1f} M", f"{row['seconds'] / row['steps']:.2f}", *figures)) + " |"
        )


if __name__ == "__main__":
    typer.run(main)
