"""The three stages in order: tokenizer, latent actions, (encode the dataset), dynamics, (export the world).

A finished stage is not trained again; an unfinished one goes on from its checkpoint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from safetensors.numpy import save as save_safetensors
from torch import Tensor, nn

from genie.bundle import Bundle
from genie.configs import DynamicsConfig, LatentActionConfig
from genie.data.card import read_card
from genie.data.check import make_card
from genie.data.clips import ClipSampler, longest_clip
from genie.data.store import Dataset
from genie.dynamics import Dynamics
from genie.errors import GenieError, TrainingError
from genie.export.world import export_graphs
from genie.horizons import PROMPT_FRAMES, clips_in_motion
from genie.latent_actions import LatentActionModel
from genie.progress import Bars
from genie.runtime.actions import Action, ActionTable
from genie.runtime.torch_engine import TorchCodec, TorchEngine
from genie.training.checkpoints import adopt, blended, load_tensors, save_tensors
from genie.training.dynamics_stage import DynamicsData, DynamicsObjective
from genie.training.export import export_world
from genie.training.latent_stage import LatentData, LatentObjective
from genie.training.loop import MODEL_FILE, Objective, Plan, is_finished, load_model, train
from genie.training.own_rollouts import RolloutPlan, make_rollouts
from genie.training.settings import STAGES, Hears, Settings, Stage
from genie.training.tokenizer_stage import TokenizerData, TokenizerObjective
from genie.training.tokens import TokenPlan, encode_dataset
from genie.weights import half_weights, load_models
from tokenizer import TokenizerConfig
from tokenizer.model import VideoTokenizer

TOLD_FRAMES = 17  # of each clip that a centred decoder is told of
Models = dict[str, nn.Module]
BEGINNING_FILE = "beginning.safetensors"  # weights that a fine-tuned stage begins with


def take_over(run: Path, bundle: Bundle, fine_tune: Sequence[Stage] = ()) -> None:
    """Put a world's tokenizer and latent action model into a new run as finished stages; what is to be trained further, as a beginning."""
    models = dict(zip(STAGES, load_models(bundle), strict=True))
    noted, dataset = bundle.manifest.training.get("stages", {}), bundle.manifest.training.get("dataset", {})
    source = {"data": dataset.get("name", bundle.manifest.name), "licence": dataset.get("licence", bundle.manifest.licence)}
    for name in STAGES:
        path = run / name / (BEGINNING_FILE if name in fine_tune else MODEL_FILE)
        if not path.exists() and (name in fine_tune or name != "dynamics"):
            path.parent.mkdir(exist_ok=True)
            note = source | noted.get(name, {})
            numbers = {"step": note.get("steps", 0), "seconds": note.get("seconds", 0.0), "metrics": note.get("metrics", {})}
            numbers |= {key: note[key] for key in ("machine", "before", "blend", "data", "licence") if key in note}
            save_tensors(path, models[name].state_dict(), numbers)


class Pipeline:
    """One training run on one dataset in one folder."""

    def __init__(
        self, dataset: Dataset, run: Path, settings: Settings, console: Console | None = None, device: str | torch.device = "cpu"
    ) -> None:
        self.dataset, self.run, self.settings, self.device = dataset, run, settings, device
        self.console = console or Console()
        resolution = dataset.info.resolution
        self.table = ActionTable(actions_of(dataset, settings.latent_actions.actions, settings.actions))
        try:
            self.tokenizer_config = TokenizerConfig.model_validate({**settings.tokenizer.model_dump(), "resolution": resolution})
            self.latent_config = LatentActionConfig.model_validate({**settings.latent_actions.model_dump(), "resolution": resolution})
            self.dynamics_config = DynamicsConfig.model_validate({**settings.dynamics, "actions": len(self.table.actions)})
        except ValidationError as error:
            raise TrainingError(f"{run}: these models do not fit {dataset.path}: {error.errors()[0]['msg']}.") from error

    def train(self, stage: Stage | None = None) -> Path | None:
        """Train one stage, or all three, and export the world where the last one is among them; returns the bundle's path if it was made.

        A world that is there already, of the same weights, stays as it is, with its marks.

        Raises:
            TrainingError: as `learn`.
        """
        self.learn(stage)
        if stage not in (None, "dynamics"):
            return None
        if self._is_exported():
            self.console.print(f"world: {self.run / 'world'} is of these weights already; remove it to write it anew")
            return self.run / "world"
        return self.export()

    def learn(self, stage: Stage | None = None) -> None:
        """Train one stage, or all three.

        Raises:
            TrainingError: a stage before it is missing, or one whose codes the run's dynamics has learned would be trained further.
        """
        for name in (stage,) if stage else STAGES:
            plan = self._plan(name)
            if self.settings.base and name != "dynamics" and name not in self.settings.fine_tune:
                self.console.print(f"{name}: {self.settings.base}'s")
                continue
            if is_finished(self.run, name, plan):
                self.console.print(f"{name}: already trained")
                self._blend(name)
                self._centre(name)
                continue
            if name != "dynamics" and (tokens := self.run / "tokens").exists():
                raise TrainingError(
                    f"the dynamics of {self.run} learns from the codes of its {name}, which would be others after more training. Choose "
                    f"another --out, with --base {self.run / 'world'} --fine-tune {name} --fine-tune dynamics, or remove {tokens} and what "
                    f"{self.run / 'dynamics'} holds but for {BEGINNING_FILE} first."
                )
            objective = self._objective(name)
            if name in self.settings.fine_tune:
                tensors, _ = load_tensors(self.run / name / BEGINNING_FILE)
                fresh = adopt(objective.model, tensors)
                _uncentre_where_new(objective.model, tensors)
                parts = sorted({key.partition(".")[0] for key in fresh})
                self.console.print(f"{name}: begins as {self.settings.base}'s; new parts: {', '.join(parts) or 'none'}")
            train(objective, plan, self.run, self.console)
            self._blend(name)
            self._centre(name)

    def export(self) -> Path:
        """Write the trained models as a world bundle into `run/world`, with ONNX graphs of them."""
        path = self.write_world()
        clips = ClipSampler(self.dataset.split("held_out"), PROMPT_FRAMES + 1, self.settings.skip, self.settings.seed)
        with self.console.status("exporting") as status:
            graphs = export_graphs(path, clips_in_motion(clips, 8 * self.settings.validation_clips), status.update)
        self.console.print(f"ONNX graphs in {', '.join(graphs.precisions)}; dB lost one frame on: {graphs.psnr_loss}")
        self.console.print(f"world: {path}  (play it: genie play {path})")
        return path

    def write_world(self) -> Path:
        """Write the trained models as a world bundle into `run/world`; without graphs it is played by torch alone."""
        tokenizer, latent_actions = self._tokenizer(), self._latent_actions()
        dynamics = Dynamics(self.dynamics_config, self.tokenizer_config)
        models: Models = {"tokenizer": tokenizer, "latent_actions": latent_actions, "dynamics": dynamics}
        notes = {name: load_model(self.run, name, model) for name, model in models.items()}
        for name in self.settings.fine_tune:
            _, begun = load_tensors(self.run / name / BEGINNING_FILE)
            notes[name]["before"] = [*begun.pop("before", []), begun]
        idle = self._idle(latent_actions)
        held_out = ClipSampler(self.dataset.split("held_out"), PROMPT_FRAMES, self.settings.skip, self.settings.seed)
        return export_world(
            self.run / "world",
            self.dataset.info,
            self.settings.sampling,
            self.settings.skip,
            self.table.actions,
            idle,
            models,
            clips_in_motion(held_out, 12).frames,
            notes,
            read_card(self.dataset.path) or make_card(self.dataset),
        )

    def _is_exported(self) -> bool:
        """Whether `run/world` is whole and of the weights that the stages have now."""
        try:
            manifest = Bundle(self.run / "world").manifest
        except GenieError:
            return False
        if manifest.graphs is None or manifest.graphs.made_for != manifest.weights_digest:
            return False
        models: Models = {"tokenizer": self._tokenizer(), "latent_actions": self._latent_actions()}
        models["dynamics"] = Dynamics(self.dynamics_config, self.tokenizer_config)
        load_model(self.run, "dynamics", models["dynamics"])
        found = {name: hashlib.sha256(save_safetensors(half_weights(model))).hexdigest() for name, model in models.items()}
        return all(manifest.files[f"{name}.safetensors"].sha256 == digest for name, digest in found.items())

    def _blend(self, stage: Stage) -> None:
        """Take a stage that was trained further back towards where it began, if the run is to, and judge it anew."""
        path, share = self.run / stage / MODEL_FILE, self.settings.blend
        trained, note = load_tensors(path)
        if stage not in self.settings.fine_tune or share == 1 or "blend" in note:
            return
        objective = self._objective(stage)
        begun, _ = load_tensors(self.run / stage / BEGINNING_FILE)
        objective.model.load_state_dict(blended(trained, begun, share))
        _uncentre_where_new(objective.model, begun)
        objective.model.eval()
        with torch.no_grad():
            metrics = objective.validate().metrics
        save_tensors(path, objective.model.state_dict(), {**note, "metrics": metrics, "blend": share})
        told = "  ".join(f"{key} {value:.4g}" for key, value in metrics.items())
        self.console.print(f"{stage}: {share:.0%} of what it has learned, {1 - share:.0%} of what it began with: {told}")

    def _centre(self, stage: Stage) -> None:
        """Tell a centred decoder that has just been trained what the codes of held-out frames are like, once: one that is trained further
        learns to hear codes as they are brought near those, and beyond that its summary may have become anything."""
        path = self.run / stage / MODEL_FILE
        if stage != "tokenizer" or not self.tokenizer_config.centred or "centred" in load_tensors(path)[1]:
            return
        model, settings = self._tokenizer(), self.settings
        if model.decoder.is_centred:
            return
        sampler = ClipSampler(self.dataset.split("held_out"), TOLD_FRAMES, settings.skip, settings.seed)
        codec = TorchCodec(model)
        codes = codec.codes(codec.unrolled(sampler.spread(min(4 * settings.validation_clips, sampler.choices)).frames)[1])
        model.decoder.centre(model.values(torch.from_numpy(codes.reshape(-1, *codes.shape[2:])).long().to(self.device)))
        save_tensors(path, model.state_dict(), {**load_tensors(path)[1], "centred": True})

    def _plan(self, stage: Stage) -> Plan:
        return self.settings.stages[stage].plan(self.settings)

    def _objective(self, stage: Stage) -> Objective:
        settings = self.settings
        rows = settings.stages[stage].rows
        if stage == "tokenizer":
            data = TokenizerData(
                rows=rows,
                walk=settings.walk,
                skip=settings.skip,
                seed=settings.seed,
                validation_clips=min(24, settings.validation_clips),
                planted_share=settings.tokenizer_planted,
                code_cost=settings.code_cost,
            )
            own = self._rollouts_for_the_decoder() if settings.tokenizer_own else ()
            return TokenizerObjective(self.dataset, self.tokenizer_config, data, own, self.device)
        if stage == "latent_actions":
            return LatentObjective(
                self.dataset,
                self.latent_config,
                LatentData(rows=rows, skip=settings.skip, seed=settings.seed, validation_clips=4 * settings.validation_clips),
                self.device,
            )
        tokenizer, latent_actions = self._tokenizer(), self._latent_actions()
        self._encode(tokenizer, latent_actions)
        rollouts: Sequence[Path] = ()
        if "dynamics" in settings.fine_tune and settings.own_frames:
            rollouts = self._roll_out(latent_actions)
        return self._dynamics_objective(tokenizer, latent_actions, rollouts)

    def _new_tokenizer(self) -> VideoTokenizer:
        model = VideoTokenizer(self.tokenizer_config)
        return model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def _tokenizer(self) -> VideoTokenizer:
        model = self._new_tokenizer()
        load_model(self.run, "tokenizer", model)
        return model

    def _latent_actions(self) -> LatentActionModel:
        model = LatentActionModel(self.latent_config).to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        load_model(self.run, "latent_actions", model)
        return model

    def _dynamics_objective(
        self, tokenizer: VideoTokenizer, latent_actions: LatentActionModel, rollouts: Sequence[Path]
    ) -> DynamicsObjective:
        settings = self.settings
        data = DynamicsData(
            rows=settings.stages["dynamics"].rows,
            slots=settings.slots,
            skip=settings.skip,
            seed=settings.seed,
            validation_clips=settings.validation_clips,
            planted_share=settings.dynamics_planted,
            learns=settings.dynamics_learns,
        )
        return DynamicsObjective(
            self.dataset, self.run / "tokens", tokenizer, latent_actions, self.dynamics_config, self.table, data, settings.sampling,
            rollouts, self.device,
        )  # fmt: skip

    def _encode(self, tokenizer: VideoTokenizer, latent_actions: LatentActionModel) -> None:
        settings = self.settings
        plan = TokenPlan(
            frames=min(settings.token_frames, self.dataset.info.frames["train"]),  # of little data, no frame much more than once
            length=settings.token_length,
            skip=settings.skip,
            seed=settings.seed,
            bf16=settings.bf16,
        )
        with self._progress("encode the dataset", "walks") as progress:
            encode_dataset(self.dataset, tokenizer, latent_actions, plan, self.run / "tokens", progress)

    def _rollouts_for_the_decoder(self) -> list[Path]:
        settings = self.settings
        if set(settings.fine_tune) != {"tokenizer", "dynamics"} or not settings.own_frames:
            raise TrainingError(
                "tokenizer_own: the rollouts are those of the world that the run begins with; it needs --base WORLD --fine-tune tokenizer "
                "--fine-tune dynamics, and own_frames of 1 or more."
            )
        fresh = adopt(self._new_tokenizer(), load_tensors(self.run / "tokenizer" / BEGINNING_FILE)[0])
        if changed := [name for name in fresh if not name.startswith("decoder.")]:
            raise TrainingError(
                f"tokenizer_own: the encoder stays {settings.base}'s, so that its codes mean the same; leave out what changes {changed[0]}."
            )
        return self._roll_out(self._latent_actions())

    def _roll_out(self, latent_actions: LatentActionModel) -> list[Path]:
        """Rollouts of the world that the run began with, with the tokenizer whose codes its dynamics was trained on."""
        settings = self.settings
        dynamics = Dynamics(self.dynamics_config, self.tokenizer_config)
        adopt(dynamics, load_tensors(self.run / "dynamics" / BEGINNING_FILE)[0])
        tokenizer = self._new_tokenizer()
        begun = BEGINNING_FILE if "tokenizer" in settings.fine_tune else MODEL_FILE
        adopt(tokenizer, load_tensors(self.run / "tokenizer" / begun)[0])
        engine = TorchEngine(tokenizer, latent_actions, dynamics, self.device)
        wanted = settings.own_length or min(3 * settings.slots + 2, settings.token_length)
        length = max(settings.slots + 2, min(wanted, longest_clip(self.dataset.split("train"), settings.skip)))
        frames = min(settings.own_frames, self.dataset.info.frames["train"])
        files = (self.run / "tokenizer" / begun, self.run / "latent_actions" / MODEL_FILE, self.run / "dynamics" / BEGINNING_FILE)
        made_by = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
        plan = RolloutPlan(frames=frames, length=length, skip=settings.skip, seed=settings.seed, models=made_by)
        with self._progress("roll the dynamics out", "rollouts") as progress:
            return make_rollouts(self.dataset, engine, self.table, settings.sampling, plan, self.run / "rollouts", progress)

    @contextmanager
    def _progress(self, title: str, unit: str) -> Iterator[Callable[[int, int], None]]:
        columns = (TextColumn(title), BarColumn(), TextColumn("{task.completed}/{task.total} " + unit), TimeRemainingColumn())
        with Bars(*columns, console=self.console) as progress:
            task = progress.add_task(title)
            yield lambda done, total: progress.update(task, completed=done, total=total)

    def _idle(self, latent_actions: LatentActionModel) -> int:
        """What happens while no key is held: the recorded action without keys, else the most frequent latent one (where the view stays),
        or recorded one, where there are no others."""
        for action in self.table.actions:
            if action.kind == "recorded" and not action.keys:
                return action.id
        return latent_actions.idle() if self.table.latent else int(np.bincount(self.dataset.split("train").actions).argmax())


def actions_of(dataset: Dataset, latent: int, kinds: Hears = "both") -> tuple[Action, ...]:
    """The action table of a world trained on this dataset: `latent` latent ones first, then the recorded ones by name; or one kind alone.

    Raises:
        TrainingError: the recorded ones alone, and not all of the data is labelled.
    """
    info = dataset.info
    if kinds == "recorded" and not (info.action_names and dataset.split("train").labelled):
        raise TrainingError(f"--actions recorded needs actions with every frame, which {dataset.path} lacks; --actions latent does not.")
    found: list[Action] = []
    if kinds != "recorded":
        found += [Action(id=i, name=f"action {i}", kind="latent", keys=(str(i + 1),) if i < 9 else ()) for i in range(latent)]
    if kinds != "latent":
        held = info.action_keys or ((),) * len(info.action_names)
        for number, (name, keys) in enumerate(zip(info.action_names, held, strict=True), len(found)):
            pad = tuple(GAMEPAD[key] for key in keys if key in GAMEPAD)
            found.append(Action(id=number, name=name, kind="recorded", keys=keys, gamepad=pad))
    return tuple(found)


def _uncentre_where_new(model: nn.Module, begun: Mapping[str, Tensor]) -> None:
    """A centred decoder whose summary is not of the shape that it began with forgets what that was told."""
    if not isinstance(model, VideoTokenizer):
        return
    summary = {name: value.shape for name, value in model.state_dict().items() if name.startswith("decoder.summary.")}
    if any(name not in begun or begun[name].shape != shape for name, shape in summary.items()):
        model.decoder.uncentre()


GAMEPAD = {"left": "dpad_left", "right": "dpad_right", "up": "dpad_up", "down": "dpad_down", "jump": "a"}
