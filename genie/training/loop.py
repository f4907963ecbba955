"""The one training loop. An `Objective` says what is learned; the loop says when, shows it, and survives `kill -9`.

AdamW, exponential moving average of the weights (validation and export use it), learning rate constant after a short warm-up and
falling to zero over the last part. All chance comes from (seed, step), so a resumed run follows the same curve.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from genie.data.clips import Prefetch
from genie.errors import TrainingError
from genie.machine import processor
from genie.progress import Bars
from genie.runtime.torch_engine import gains_by_bf16
from genie.training.checkpoints import load_tensors, optimizer_tensors, restore_optimizer, save_tensors

FIRST_VALIDATION_SECONDS = 45.0
MOST_UNUSABLE = 3  # steps in a row without a finite gradient that are passed over; in hours of bfloat16 there is one now and then
MODEL_FILE = "model.safetensors"  # averaged weights of a finished stage


@dataclass(frozen=True)
class Plan:
    """How long a stage trains and how."""

    minutes: float | None = None  # one of the two bounds it
    steps: int | None = None
    learning_rate: float = 1.5e-3
    warmup_steps: int = 50
    decay_part: float = 0.6  # the last part of the training, over which the learning rate falls to nothing
    ema: float = 0.995
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0
    bf16: bool = True  # autocast, where the device gains by it
    validate_seconds: float = 150.0  # between validations; the first comes within the first minute
    checkpoint_seconds: float = 60.0

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise TrainingError("say how long to train: either minutes or steps, not both.")

    def progress(self, step: int, seconds: float) -> float:
        """Share of the training that is done, 0 … 1."""
        done = step / self.steps if self.steps is not None else seconds / 60 / max(self.minutes or 0, 1e-9)
        return min(1.0, done)

    def rate(self, step: int, progress: float) -> float:
        """The learning rate of one step."""
        decay = min(1.0, (1.0 - progress) / self.decay_part) if self.decay_part > 0 else 1.0
        return self.learning_rate * min(1.0, (step + 1) / self.warmup_steps) * max(decay, 0.01)


@dataclass
class Validation:
    """What a validation found: numbers, and a contact sheet uint8 [H, W, 3] (truth over the model's)."""

    metrics: dict[str, float]
    picture: np.ndarray | None = None


class Objective(Protocol):
    """What a stage learns."""

    name: str
    key_metric: str  # the one validation metric shown in the progress line

    @property
    def model(self) -> nn.Module:
        """What is trained."""

    def batch(self, step: int) -> Any:
        """The data of one step, made in a background thread: a function of (seed, step) alone."""

    def loss(self, batch: Any, generator: torch.Generator) -> tuple[Tensor, dict[str, float], int]:
        """Loss to minimise, numbers to log, frames it saw."""

    def validate(self) -> Validation:
        """Judge the model (its weights are the averaged ones during the call)."""

    def carried(self) -> dict[str, Tensor]:
        """State that lives between steps beside the weights."""

    def restore(self, carried: dict[str, Tensor]) -> None:
        """Put back what `carried` gave."""


@dataclass
class _State:
    step: int = 0
    seconds: float = 0.0  # spent training
    frames: int = 0
    metrics: dict[str, float] = field(default_factory=dict)  # of the last validation


def average(ema: dict[str, Tensor], model: nn.Module, decay: float) -> None:
    """ema <- decay · ema + (1 - decay) · weights; integer buffers are copied."""
    current = model.state_dict()
    floating = [name for name, value in ema.items() if value.is_floating_point()]
    torch._foreach_lerp_([ema[n] for n in floating], [current[n] for n in floating], 1 - decay)
    for name, value in ema.items():
        if not value.is_floating_point():
            value.copy_(current[name])


@contextmanager
def averaged_weights(model: nn.Module, ema: dict[str, Tensor]) -> Iterator[None]:
    """Run a block with the averaged weights in the model."""
    own = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(ema)
    model.eval()
    try:
        yield
    finally:
        model.load_state_dict(own)
        model.train()


def train(objective: Objective, plan: Plan, run: Path, console: Console | None = None) -> dict[str, float]:
    """Train one stage in `run/<name>/`, from its checkpoint if there is one; returns the last validation's metrics.

    Leaves `checkpoint.safetensors`, `log.jsonl`, TensorBoard events, contact sheets, and `model.safetensors` (averaged
    weights) when the plan is fulfilled.
    """
    folder = run / objective.name
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.safetensors"
    model = objective.model
    torch.manual_seed(plan.seed)
    learns = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(learns, lr=plan.learning_rate, betas=(0.9, 0.95), weight_decay=plan.weight_decay, fused=True)
    state = _State()
    ema = {name: value.clone() for name, value in model.state_dict().items()}
    if checkpoint.exists():
        state, saved = _restore(checkpoint, objective, optimizer)
        for name, averaged in saved.items():
            ema[name].copy_(averaged)
    for log_name in ("log.jsonl", "validation.jsonl"):
        _truncate_log(folder / log_name, state.step)  # also of a run that was killed before its first checkpoint

    console = console or Console()
    device = next(model.parameters()).device
    progress = Bars(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(), console=console
    )
    total = plan.steps if plan.steps is not None else round((plan.minutes or 0) * 60)
    task = progress.add_task(objective.name, total=total, completed=_done(plan, state))
    batches = Prefetch(objective.batch, first=state.step)
    model.train()
    bf16 = plan.bf16 and gains_by_bf16(device)
    last_checkpoint = last_line = time.monotonic()
    last_validation = time.monotonic() - (max(0.0, plan.validate_seconds - FIRST_VALIDATION_SECONDS) if state.step == 0 else 0.0)
    try:
        with SummaryWriter(str(folder), purge_step=state.step + 1) as board, (folder / "log.jsonl").open("a") as log, progress:
            unusable = 0  # steps in a row
            while (share := plan.progress(state.step, state.seconds)) < 1.0:
                began = time.monotonic()
                for group in optimizer.param_groups:
                    group["lr"] = plan.rate(state.step, share)
                generator = torch.Generator().manual_seed(_mix(plan.seed, state.step))
                torch.manual_seed(_mix(plan.seed + 1, state.step))
                batch = next(batches)
                with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                    loss, numbers, frames = objective.loss(batch, generator)
                loss.backward()
                norm = torch.nn.utils.clip_grad_norm_(learns, plan.clip)
                unusable = 0 if torch.isfinite(norm) else unusable + 1
                if unusable > MOST_UNUSABLE or not torch.isfinite(loss):  # a loss that is none may have left its mark on what is carried on
                    raise TrainingError(
                        f"{objective.name}: the gradient is not finite at step {state.step}, and it cannot be passed over; lower the "
                        f"learning_rate in {run / 'settings.json'} and run again (the last checkpoint is kept)."
                    )
                if unusable:
                    console.print(f"{objective.name}: step {state.step} has no finite gradient and is passed over")
                else:
                    optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                state.step += 1
                state.frames += frames
                average(ema, model, min(plan.ema, state.step / (state.step + 10)))
                now = time.monotonic()
                state.seconds += now - began
                numbers = {"loss": loss.item(), **numbers, "learning_rate": optimizer.param_groups[0]["lr"], "norm": norm.item()}
                log.write(json.dumps({"step": state.step, "seconds": round(state.seconds, 2), **_rounded(numbers)}) + "\n")
                if now - last_line > 1.0:
                    last_line = now
                    for key, value in numbers.items():
                        board.add_scalar(key, value, state.step)
                    rate = state.frames / max(state.seconds, 1e-9)
                    shown = f"{objective.name}  {rate:.0f} frames/s  loss {numbers['loss']:.4f}"
                    if objective.key_metric in state.metrics:
                        shown += f"  {objective.key_metric} {state.metrics[objective.key_metric]:.2f}"
                    progress.update(task, completed=_done(plan, state), description=shown)
                finished = plan.progress(state.step, state.seconds) >= 1.0
                if finished or now - last_validation > plan.validate_seconds:
                    log.flush()
                    state.metrics = _validate(objective, ema, folder, state, board, progress.console)
                    last_validation = time.monotonic()
                if finished or time.monotonic() - last_checkpoint > plan.checkpoint_seconds:
                    log.flush()
                    _save(checkpoint, objective, optimizer, state, ema)
                    last_checkpoint = time.monotonic()
    finally:
        batches.close()
    note = {"step": state.step, "seconds": state.seconds, "metrics": state.metrics, "machine": _machine(device)}
    save_tensors(folder / MODEL_FILE, ema, note)
    model.load_state_dict(ema)
    model.eval()
    return state.metrics


def is_finished(run: Path, stage: str, plan: Plan) -> bool:
    """Whether a stage has already trained as long as the plan asks."""
    path = run / stage / MODEL_FILE
    if not path.exists():
        return False
    _, numbers = load_tensors(path)
    return plan.progress(numbers["step"], numbers["seconds"]) >= 1.0


def load_model(run: Path, stage: str, model: nn.Module) -> dict[str, Any]:
    """Load a finished stage's averaged weights into `model`; returns what the stage noted.

    Raises:
        TrainingError: the stage is not finished.
    """
    path = run / stage / MODEL_FILE
    if not path.exists():
        raise TrainingError(f"{run}: the stage {stage} is not finished; train it first (`genie train … --stage {stage}`).")
    tensors, numbers = load_tensors(path)
    model.load_state_dict(tensors)
    model.eval()
    return numbers


def _mix(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{threads} thread{'s' * (threads > 1)}, {processor()}"


def _done(plan: Plan, state: _State) -> int:
    return state.step if plan.steps is not None else round(state.seconds)


def _rounded(numbers: dict[str, float]) -> dict[str, float | None]:
    """For JSON, which knows no number that is not finite."""
    return {key: float(f"{value:.6g}") if math.isfinite(value) else None for key, value in numbers.items()}


def _validate(
    objective: Objective, ema: dict[str, Tensor], folder: Path, state: _State, board: SummaryWriter, console: Console
) -> dict[str, float]:
    device = next(objective.model.parameters()).device
    with averaged_weights(objective.model, ema), torch.no_grad(), torch.autocast(device.type, enabled=False):
        found = objective.validate()
    for key, value in found.metrics.items():
        board.add_scalar(f"validation/{key}", value, state.step)
    if found.picture is not None:
        Image.fromarray(found.picture).save(folder / f"validation_{state.step:07d}.png")
        board.add_image("validation", found.picture, state.step, dataformats="HWC")
    line = {"step": state.step, "seconds": round(state.seconds, 1), "frames": state.frames, **_rounded(found.metrics)}
    with (folder / "validation.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    text = "  ".join(f"{key} {value:.4g}" for key, value in found.metrics.items())
    console.print(f"{objective.name} step {state.step} ({state.seconds / 60:.1f} min): {text}")
    return found.metrics


def _save(path: Path, objective: Objective, optimizer: torch.optim.Optimizer, state: _State, ema: dict[str, Tensor]) -> None:
    parts = {
        "model": objective.model.state_dict(),
        "ema": ema,
        "optimizer": optimizer_tensors(objective.model, optimizer),
        "carried": objective.carried(),
    }
    tensors = {f"{part}/{name}": value for part, values in parts.items() for name, value in values.items()}
    save_tensors(path, tensors, vars(state))


def _restore(path: Path, objective: Objective, optimizer: torch.optim.Optimizer) -> tuple[_State, dict[str, Tensor]]:
    tensors, numbers = load_tensors(path)
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "ema": {}, "optimizer": {}, "carried": {}}
    for name, value in tensors.items():
        part, _, rest = name.partition("/")
        parts[part][rest] = value
    try:
        objective.model.load_state_dict(parts["model"])
    except RuntimeError as error:
        raise TrainingError(f"{path} holds another model than the one configured; choose another --out. {error}") from error
    restore_optimizer(objective.model, optimizer, parts["optimizer"])
    objective.restore(parts["carried"])
    return _State(**numbers), parts["ema"]


def _truncate_log(path: Path, step: int) -> None:
    """Drop lines past the checkpoint: those steps are made again."""
    if path.exists():
        kept = [line for line in path.read_text().splitlines() if line.endswith("}") and json.loads(line)["step"] <= step]
        partial = path.with_name(path.name + ".partial")
        partial.write_text("".join(f"{line}\n" for line in kept))
        os.replace(partial, path)
