"""What a run is made with. `settings.json` in the run folder keeps it, so that resuming needs no flags and cannot change it by accident."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from genie.bundle import Bundle
from genie.configs import LatentActionConfig
from genie.data.store import Dataset, write_json
from genie.errors import TrainingError
from genie.runtime.sampling import Sampling
from genie.training.loop import Plan
from tokenizer import TokenizerConfig

Hears = Literal["both", "latent", "recorded"]
Stage = Literal["tokenizer", "latent_actions", "dynamics"]
STAGES: tuple[Stage, ...] = ("tokenizer", "latent_actions", "dynamics")
SETTINGS_FILE = "settings.json"
OF_THE_RUN = ("dataset", "base", "base_weights", "fine_tune")  # settings that the data and the command say
BOUNDS = ("minutes", "steps")
# What a tokenizer that is trained further may get anew, where it sees the frame before.
NEW_IN_OLD = ("steady", "keeps", "centred")
OF_ROLLOUTS = ("guess",)  # and one that is not, where it has a mosaic: no network has to learn it


class StageSettings(BaseModel):
    """How long and how fast one stage learns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    minutes: float | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, ge=1)
    learning_rate: float = Field(gt=0)
    rows: int = Field(ge=1)  # clips or sequences a step

    def plan(self, settings: Settings) -> Plan:
        """The loop's plan."""
        return Plan(
            minutes=self.minutes,
            steps=self.steps,
            learning_rate=self.learning_rate,
            warmup_steps=settings.warmup_steps,
            seed=settings.seed,
            bf16=settings.bf16,
            validate_seconds=settings.validate_seconds,
            checkpoint_seconds=settings.checkpoint_seconds,
        )


class Settings(BaseModel):
    """Everything a run is made with. The defaults are the shipped CoinRun world's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokenizer: TokenizerConfig = TokenizerConfig(reach_rows=16, reach_columns=8, steady=True, keeps=True, centred=True)
    latent_actions: LatentActionConfig = LatentActionConfig()
    dynamics: dict[str, int] = {"context": 16, "trail": 4}  # of DynamicsConfig; the data decides `actions`
    actions: Hears = "both"  # which kinds the dynamics hears and the world has, of what the data offers
    sampling: Sampling = Sampling()
    skip: int = Field(default=0, ge=0)  # game steps a frame; 0: what the dataset says
    seed: int = Field(default=0, ge=0, lt=2**63)
    bf16: bool = True
    dataset: str = ""  # fingerprint of the dataset the run was started on
    base: str = ""  # name of the world whose tokenizer and latent actions the run took over
    base_weights: str = ""  # digest of that world's; of runs begun before it was kept it is not known
    fine_tune: tuple[Stage, ...] = ()  # stages that begin with that world's weights and are trained further
    tokenizer_own: bool = False  # a tokenizer trained further learns in its decoder alone, from rollouts of the world it began as too
    dynamics_learns: tuple[str, ...] = ()  # patterns of the weights that learn in a dynamics trained further, as "*_out.*"; none: all do
    blend: float = Field(default=1.0, gt=0, le=1)  # share of what these have learned in their weights; the rest is what they began with
    stages: dict[Stage, StageSettings] = {
        "tokenizer": StageSettings(minutes=20, learning_rate=1.2e-3, rows=6),
        "latent_actions": StageSettings(minutes=5, learning_rate=1e-3, rows=16),
        "dynamics": StageSettings(minutes=65, learning_rate=1.2e-3, rows=3),
    }
    walk: int = Field(default=16, ge=1)  # tokenizer batches before a row jumps
    code_cost: float = Field(
        default=0.0, ge=0
    )  # of the mean size of code values in the tokenizer's loss: where codes say nothing they become one
    tokenizer_planted: float = Field(default=0.0, ge=0, le=1)  # share of its batches with planted pieces (docs/research.md)
    dynamics_planted: float = Field(default=0.0, ge=0, le=1)  # likewise
    slots: int = Field(default=16, ge=2)  # frames of a dynamics sequence
    token_frames: int = Field(default=100_000, ge=1)  # encoded for the dynamics
    token_length: int = Field(default=49, ge=4)  # frames of an encoded walk
    own_frames: int = Field(default=40_000, ge=0)  # that a dynamics trained further makes by itself first, to learn from
    own_length: int = Field(default=0, ge=0)  # frames of each of these, where episodes are so long; 0: three times the slots
    warmup_steps: int = Field(default=50, ge=1)
    validate_seconds: float = 600.0
    checkpoint_seconds: float = 120.0
    validation_clips: int = Field(default=32, ge=1)

    @model_validator(mode="after")
    def _fits(self) -> Settings:
        if missing := [name for name in STAGES if name not in self.stages]:
            raise ValueError(f"stages lacks {', '.join(missing)}")
        if self.token_length <= self.slots:
            raise ValueError(f"a sequence of {self.slots} slots does not fit in walks of token_length {self.token_length} frames")
        return self

    @property
    def trains_all(self) -> bool:
        """Whether no stage is taken over as it is."""
        return not self.base or set(self.fine_tune) == set(STAGES)

    def bounded(self, minutes: float | None, steps: int | None, *stages: Stage) -> Settings:
        """The same settings with other bounds.

        `minutes` are those of these stages together (of all where none is named), shared as before; `steps` are those of each of them.
        """
        if minutes is None and steps is None:
            return self
        if minutes is not None and steps is not None:
            raise TrainingError("give --minutes or --steps, not both.")
        concerned = stages or STAGES
        whole = sum(self.stages[name].minutes or 1.0 for name in concerned)
        changed = {
            name: self.stages[name].model_copy(
                update={"minutes": None if minutes is None else minutes * (self.stages[name].minutes or 1.0) / whole, "steps": steps}
            )
            for name in concerned
        }
        return self.model_copy(update={"stages": {**self.stages, **changed}})

    def with_rows(self, rows: int) -> Settings:
        """The same settings with so many clips or sequences in each step of every stage."""
        return self.model_copy(update={"stages": {name: stage.model_copy(update={"rows": rows}) for name, stage in self.stages.items()}})

    def changed(self, assignments: Sequence[str]) -> Settings:
        """The same settings with others as `name=value`, the value as in JSON: `tokenizer.codes=8`, `stages.dynamics.minutes=30`.

        Raises:
            TrainingError: there is no such setting, it takes no such value, or it is the run's own to say.
        """
        changed = self
        for assignment in assignments:
            path, equals, text = (part.strip() for part in assignment.partition("="))
            *folders, name = path.split(".")
            if not equals or not name:
                raise TrainingError(f"--set {assignment!r} is not name=value; for example --set tokenizer.codes=8.")
            if path in OF_THE_RUN:
                raise TrainingError(f"--set {path}: that is said by the dataset, --base and --fine-tune.")
            inner = dump = changed.model_dump(mode="json")
            for folder in folders:
                inner = inner.get(folder, {}) if isinstance(inner, dict) else {}
            if not isinstance(inner, dict) or (folders and not inner):
                raise TrainingError(f"--set {path}: there is no setting of that name; {SETTINGS_FILE} of a run holds them all.")
            try:
                inner[name] = json.loads(text)
            except json.JSONDecodeError:
                inner[name] = text
            if folders[:1] == ["stages"] and name in BOUNDS and inner[name] is not None:
                inner.update({bound: None for bound in BOUNDS if bound != name})  # a stage has one of them
            try:
                changed = Settings.model_validate(dump)
            except ValidationError as error:
                raise TrainingError(
                    f"--set {assignment}: {error.errors()[0]['msg']}. {SETTINGS_FILE} of a run holds all settings and their values."
                ) from error
        return changed

    def reaching(self, reach: tuple[int, int], resolution: tuple[int, int]) -> Settings:
        """The same settings with another reach (rows, columns) of the search for the camera's motion, in both models that have one.

        In pixels for the tokenizer, in those of the quarter-size picture for the latent actions; (0, 0): nothing is done about scrolling.

        Raises:
            TrainingError: frames of this resolution (height, width) are too small for it.
        """
        wanted = {"resolution": resolution, "reach_rows": reach[0], "reach_columns": reach[1]}
        mosaic = max(self.tokenizer.mosaic, *reach) if self.tokenizer.mosaic and any(reach) else 0  # nothing leaves a still picture
        try:
            tokenizer = TokenizerConfig.model_validate({**self.tokenizer.model_dump(), **wanted, "mosaic": mosaic})
            latent_actions = LatentActionConfig.model_validate({**self.latent_actions.model_dump(), **wanted})
        except ValidationError as error:
            problem = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise TrainingError(
                f"--reach {reach[1]}x{reach[0]} does not fit frames of {resolution[1]}x{resolution[0]}: {problem}."
            ) from error
        return self.model_copy(update={"tokenizer": tokenizer, "latent_actions": latent_actions})

    def based_on(self, bundle: Bundle, fine_tune: Sequence[Stage] = ()) -> Settings:
        """The same settings around the tokenizer and latent action model of a world; `fine_tune` names what is trained further.

        Where that is all three, the world is only where they begin: it may be of another game, and the data says how many steps a frame is.
        """
        manifest = bundle.manifest
        shape = manifest.tokenizer
        new = (*(NEW_IN_OLD if "tokenizer" in fine_tune and shape.mode == "context" else ()), *(OF_ROLLOUTS if shape.mosaic else ()))
        shape = shape.model_copy(update={name: getattr(self.tokenizer, name) or getattr(shape, name) for name in new})
        sizes = ("width", "layers", "heads", "frame_width") if "dynamics" in fine_tune else ()
        kept = {name: getattr(manifest.dynamics, name) for name in sizes}
        return self.model_copy(
            update={
                "base": manifest.name,
                "base_weights": manifest.weights_digest,
                "fine_tune": tuple(fine_tune),
                "dynamics": self.dynamics | kept,
                "tokenizer": shape,
                "latent_actions": manifest.latent_actions,
                "skip": self.skip if set(fine_tune) == set(STAGES) else manifest.frame_skip,
            }
        )

    def for_dataset(self, dataset: Dataset) -> Settings:
        """The same settings tied to a dataset, with its frame skip where none was asked for."""
        return self.model_copy(update={"dataset": dataset.fingerprint, "skip": self.skip or dataset.info.frame_skip})

    def lesson(self) -> Settings:
        """What a run may not change once it has begun: everything but how long, on which data, and from which weights."""
        endless = {name: stage.model_copy(update=dict.fromkeys(BOUNDS)) for name, stage in self.stages.items()}
        return self.model_copy(update={"stages": endless, "dataset": "", "base_weights": ""})


def presets() -> dict[str, Settings]:
    """Named settings: `default`, `still` (a camera that stands still, things of a few pixels), `per-frame` (the published tokenizer, for
    comparison) and `smoke` (seconds, for tests)."""
    still = TokenizerConfig(
        mode="per-frame", local=True, codes=8, levels=(4, 4, 4, 4)
    )  # a ball of two pixels is described where it is, not by where it was
    small = TokenizerConfig(codes=4, width=16, blocks=1, reach_rows=8, reach_columns=4, steady=True, centred=True, mosaic=24, guess=12)
    stage = StageSettings(steps=40, learning_rate=1e-3, rows=4)
    return {
        "default": Settings(),
        "still": Settings(
            tokenizer=still,
            latent_actions=LatentActionConfig(pooled=True, spread=True),
            dynamics={
                "width": 128,
                "layers": 4,
                "frame_width": 48,
                "context": 16,
            },  # little happens, and seldom: more steps beat more weights
            sampling=Sampling(temperature=0.1),
            stages={
                "tokenizer": StageSettings(minutes=6, learning_rate=1.2e-3, rows=6),
                "latent_actions": StageSettings(minutes=8, learning_rate=1e-3, rows=16),
                "dynamics": StageSettings(minutes=45, learning_rate=1.2e-3, rows=3),
            },
            code_cost=1e-2,
            token_frames=80_000,
        ),
        "per-frame": Settings(tokenizer=TokenizerConfig.per_frame()),
        "smoke": Settings(
            tokenizer=small,
            latent_actions=LatentActionConfig(width=16),
            dynamics={"width": 64, "layers": 2, "heads": 4, "frame_width": 16, "context": 8, "trail": 3},
            stages={**dict.fromkeys(STAGES, stage), "dynamics": stage.model_copy(update={"rows": 2})},
            warmup_steps=10,
            checkpoint_seconds=1.0,
            walk=4,
            slots=8,
            token_frames=800,
            own_frames=1_000,
            token_length=17,
            validation_clips=4,
        ),
    }


def open_run(run: Path, dataset: Dataset, wanted: Settings | None = None) -> Settings:
    """The settings of a run: those it was started with, or `wanted` (default: the defaults) for a new one.

    Only the bounds may be changed later: those of `wanted` are taken over when the rest is the same.

    Raises:
        TrainingError: the run was started with other settings or on another dataset, or its settings file is damaged.
    """
    path = run / SETTINGS_FILE
    if not path.exists():
        if run.exists() and any(file.name != f"{SETTINGS_FILE}.partial" for file in run.iterdir()):
            raise TrainingError(f"{run} is not empty and not a training run; choose another --out.")
        run.mkdir(parents=True, exist_ok=True)
        settings = (wanted or Settings()).for_dataset(dataset)
        write_json(path, settings.model_dump(mode="json"))
        return settings
    kept = read_settings(run)
    if kept.dataset != dataset.fingerprint:
        raise TrainingError(f"{run} was started on another dataset than {dataset.path}; choose another --out.")
    if wanted is None:
        return kept
    if wanted.for_dataset(dataset).lesson() != kept.lesson():
        raise TrainingError(f"{run} was started with other settings; leave out the flags to go on, or choose another --out.")
    if kept.base_weights and wanted.base_weights not in ("", kept.base_weights):
        raise TrainingError(f"{run} began with another world of the name {kept.base}; leave out --base to go on, or choose another --out.")
    settings = kept.model_copy(update={"stages": wanted.stages})
    write_json(path, settings.model_dump(mode="json"))
    return settings


def read_settings(run: Path) -> Settings:
    """The settings that a run was started with.

    Raises:
        TrainingError: the file is damaged.
    """
    path = run / SETTINGS_FILE
    try:
        return Settings.model_validate(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path} is damaged ({error}); choose another --out.") from error
