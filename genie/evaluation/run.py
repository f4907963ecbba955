"""The whole evaluation of a world: the parts in order, each kept in the workspace as soon as it is done, then the report."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np

from genie.data.clips import ClipSampler, FrameReader, longest_clip
from genie.data.store import UNKNOWN_ACTION, Dataset
from genie.errors import GenieError
from genie.evaluation import (
    ball,
    controllability,
    fidelity,
    games,
    inverse_dynamics,
    permanence,
    pictures,
    protocols,
    staying_power,
)
from genie.evaluation.features import features
from genie.evaluation.intervals import apart
from genie.evaluation.protocols import Material, Protocol, Sizes
from genie.evaluation.report import Metric, Picture, Report, Section, Settings
from genie.evaluation.staying_power import RealFrames, Rollouts
from genie.evaluation.workspace import Workspace
from genie.horizons import DELTA_STEPS, PROMPT_FRAMES, by_rollout, roll
from genie.machine import cores, processor
from genie.runtime.rollout import BatchRollout
from genie.world import World

Progress = Callable[[str, int, int], None]  # part, done, of how many
LATENT_FRAMES = 9  # of the clips that latent codes are counted on
JUDGED_STEPS = 32  # frames of each rollout that the inverse-dynamics model is asked about
COUNTERFACTUAL_STEPS = 16
THING_STEPS = 32  # frames after the prompt that things are followed for
STREAM_CLIPS = 256  # real clips whose latent codes long rollouts follow, where no keys are known
STREAM_FRAMES = 64  # of each
REAL_BALL_FRAMES = 256  # of each real clip that a ball is followed in
STRETCHES = 16  # a recording of one episode is parted into


def evaluate(
    world: World, dataset: Dataset, folder: Path, protocol: Protocol, clips: int = 64, seed: int = 0,
    progress: Progress = lambda part, done, total: None,
) -> tuple[Report, Workspace]:  # fmt: skip
    """Measure a world on held-out levels; a folder with finished parts of the same evaluation is gone on with.

    Raises:
        GenieError: the dataset is of another game, too short, or the folder holds an evaluation with other settings or one at work.
    """
    names = tuple(action.name for action in world.actions if action.kind == "recorded")
    if dataset.info.resolution != world.resolution or (names and dataset.info.action_names and names != dataset.info.action_names):
        raise GenieError(f"{dataset.path} has another resolution or other actions than {world.name}; judge it on data of its own game.")
    labelled = key_ids(world, dataset) is not None and (dataset.split("held_out").actions != UNKNOWN_ACTION).any()
    if not world.action_table.latent and not labelled:
        raise GenieError(f"{world.name} hears recorded actions alone, which {dataset.path} lacks; judge it on data with labels.")
    settings = Settings(
        world=world.name, weights=world.manifest.weights_digest, sampling=world.sampling.model_dump(mode="json"), backend=world.backend,
        dataset=dataset.info.name, fingerprint=dataset.fingerprint, protocol=protocol.name, clips=clips, seed=seed,
    )  # fmt: skip
    workspace = Workspace(folder, settings)
    with workspace.alone():
        sections = _Evaluation(world, dataset, workspace, protocol, Sizes.of(clips), seed, progress).sections()
    report = Report(
        settings=settings,
        date=time.strftime("%Y-%m-%d"),
        machine={"processor": processor(), "cores": cores()},
        seconds=workspace.seconds,
        sections=tuple(section.model_copy(update={"metrics": tuple(checked(m) for m in section.metrics)}) for section in sections),
    )
    return report, workspace


def checked(metric: Metric) -> Metric:
    """A metric that cannot tell the real game from an action-blind world is marked as useless."""
    if apart(metric.real, metric.blind) is False:
        return metric.model_copy(update={"useless": True, "note": f"{metric.note}; the bounds cannot be told apart".lstrip("; ")})
    return metric


class _Evaluation:
    """The parts of one evaluation; what several of them need is made once."""

    def __init__(
        self, world: World, dataset: Dataset, workspace: Workspace, protocol: Protocol, sizes: Sizes, seed: int, progress: Progress
    ) -> None:
        self.world, self.dataset, self.workspace, self.protocol = world, dataset, workspace, protocol
        self.sizes, self.seed, self.progress = sizes, seed, progress
        self.names = dataset.info.action_names
        self.latent = world.action_table.latent
        self.key_ids = key_ids(world, dataset)

    def sections(self) -> list[Section]:
        """Every family that this protocol, this world and this data allow, in the report's order."""
        if not self.latent and self.keys is None:
            raise GenieError(f"{self.world.name} hears recorded actions alone, and no clip of {self.dataset.path} has all of its own.")
        found = [self.workspace.section("tokenizer", self._tokenizer), self.workspace.section("horizons", self._horizons)]
        found.append(self.workspace.section("controllability", self._controllability))
        whole = self.protocol.name == "default"
        branchable = games.branchable(self.dataset.info) and self.key_ids is not None
        if whole and branchable and all(name in self.names for pair in controllability.CONTRASTS for name in pair):
            found.append(self.workspace.section("counterfactuals", self._counterfactuals))
        if whole:
            found.append(self.workspace.section("drift", self._drift))
        if whole and branchable and {"left", "right"} <= set(self.names):
            found.append(self.workspace.section("revisit", self._revisit))
        if self.protocol.name != "genieredux":
            name = self.dataset.info.name
            if whole and name == "pong" and self.world.resolution == ball.RESOLUTION:
                return [*found, self.workspace.section("ball", self._ball)]
            probe = permanence.PROBES.get(name)
            if probe is not None and probe.resolution == self.world.resolution:
                found.append(self.workspace.section("permanence", lambda: self._permanence(probe)))
            elif permanence.LEARNED.get(name) == self.world.resolution and games.branchable(self.dataset.info):
                found.append(self.workspace.section("permanence", lambda: self._permanence(self._learned())))
            else:
                if permanence.LEARNED.get(name) == self.world.resolution:
                    why = "the judge of things learns from the game itself, which is not installed (requirements-procgen.txt)"
                elif name in permanence.PROBES or name in permanence.LEARNED:
                    why = f"what the figures of {name} look like is not known at the size of this data"
                else:
                    why = f"what the figures of {name} look like is not known here"
                found.append(Section(name="permanence", title="Object permanence", notes=(f"not measured: {why}",)))
        return found

    # What the families share.

    @cached_property
    def material(self) -> Material:
        def make() -> dict[str, np.ndarray]:
            self.progress("real clips", 0, 1)
            return protocols.gather(self.protocol, self.dataset, self.sizes.clips, self.world.frame_skip, self.seed).arrays()

        return Material.kept(self.workspace.arrays("clips", make))

    @property
    def prompt_frames(self) -> int:
        return self.protocol.prompt_frames

    @property
    def prompts(self) -> np.ndarray:
        return self.material.frames[:, : self.prompt_frames]

    @property
    def truth(self) -> np.ndarray:
        return self.material.frames[:, self.prompt_frames :]

    @property
    def horizons(self) -> tuple[int, ...]:
        return tuple(h for h in self.protocol.horizons if h <= self.truth.shape[1])

    @cached_property
    def keys(self) -> np.ndarray | None:
        """The world's actions for the keys held in the clips after their prompts, int [B, S]; None without labels."""
        if self.key_ids is None or not self.material.labelled:
            return None
        return self.key_ids[self.material.actions[:, self.prompt_frames - 1 :]]

    @property
    def main(self) -> str:
        """The rollouts that stand for the world: under the keys where there are any."""
        return "latent" if self.keys is None else "keys"

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of actions that the world hears and that are known of the clips."""
        return (*(["latent"] if self.latent else []), *(["keys"] if self.keys is not None else []))

    def pool(self, kind: str) -> np.ndarray:
        """Ids that random actions are drawn from."""
        return np.arange(self.latent) if kind == "latent" or self.key_ids is None else np.unique(self.key_ids)

    def random(self, kind: str, shape: tuple[int, ...], salt: int) -> np.ndarray:
        return np.random.default_rng([self.seed, 5, salt]).choice(self.pool(kind), size=shape)

    def rollouts(self, kind: str) -> np.ndarray:
        """uint8 [B, S, H, W, 3] of "latent", "keys" or "random" actions over the whole clip."""
        return self.rolled(kind)["frames"]

    def rolled(self, kind: str) -> dict[str, np.ndarray]:
        """Those "frames", and by how much the picture scrolled to each: "scrolls" int [B, S, 2]."""

        def make() -> dict[str, np.ndarray]:
            if kind == "latent":
                actions = self.world.engine.codec.infer_actions(self.material.frames)[:, self.prompt_frames - 1 :]
            elif kind == "keys" and self.keys is not None:
                actions = self.keys
            else:
                actions = self.random(self.main, self.truth.shape[:2], 0)
            return self._roll_with_scrolls(f"rollouts, {kind} actions", self.prompts, actions)

        return self.workspace.arrays(f"rollouts_{kind}", make)

    @cached_property
    def round_trip(self) -> dict[str, np.ndarray]:
        """What the tokenizer makes of the real clips, unrolled on its own output: "frames" and "codes"."""

        def make() -> dict[str, np.ndarray]:
            codec = self.world.engine.codec
            made, tokens = codec.unrolled(self.material.frames)
            return {"frames": made, "codes": codec.codes(tokens).astype(np.int32)}

        return self.workspace.arrays("round_trip", make)

    @cached_property
    def short(self) -> dict[str, np.ndarray]:
        """uint8 [B, H, W, 3] `DELTA_STEPS` on, under random actions: of each kind twice."""

        def make() -> dict[str, np.ndarray]:
            shape = (len(self.prompts), DELTA_STEPS)
            jobs = [(f"{kind}_{salt}", self.random(kind, shape, salt)) for kind in self.kinds for salt in (1, 2)]
            return {name: self._roll("rollouts, Δ", self.prompts, actions)[:, -1:] for name, actions in jobs}

        return {name: frames[:, 0] for name, frames in self.workspace.arrays("rollouts_delta", make).items()}

    def _roll_with_scrolls(self, part: str, prompts: np.ndarray, actions: np.ndarray) -> dict[str, np.ndarray]:
        tokens: list[np.ndarray] = []
        frames = self._roll(part, prompts, actions, tokens)
        return {"frames": frames, "scrolls": self.world.engine.codec.motion(by_rollout(tokens, actions.shape[1]))}

    def _roll(self, part: str, prompts: np.ndarray, actions: np.ndarray, tokens: list[np.ndarray] | None = None) -> np.ndarray:
        done, total = 0, actions.size

        def each(batch: BatchRollout) -> None:
            nonlocal done
            done += len(batch.seeds)
            if tokens is not None:
                tokens.append(batch.tokens)
            self.progress(part, done, total)

        return roll(self.world.engine, self.world.action_table, self.world.sampling, prompts, actions, self.seed, each)

    # The families.

    def _tokenizer(self) -> Section:
        self.progress("tokenizer", 0, 1)
        vocabulary = self.world.manifest.tokenizer.vocabulary
        clips, made = self.material.frames, self.round_trip["frames"]
        section = fidelity.tokenizer_section(clips, self.material.episodes, made, self.round_trip["codes"], vocabulary, self.seed)
        return section.model_copy(update={"pictures": (pictures.round_trip(self.workspace.folder, clips, made),)})

    def _horizons(self) -> Section:
        made = {kind: self.rollouts(kind) for kind in (*self.kinds, "random")}
        section = fidelity.horizon_section(self.material.frames, self.prompt_frames, made, self.horizons, self.material.episodes, self.seed)
        shown = pictures.against_truth(self.workspace.folder, self.material.frames, self.prompt_frames, made, self.world.frame_rate)
        return section.model_copy(update={"pictures": shown, "notes": (self.protocol.says,)})

    def _controllability(self) -> Section:
        episodes, metrics = self.material.episodes, []
        if self.truth.shape[1] >= DELTA_STEPS:
            at = DELTA_STEPS - 1
            real = None if self.material.other is None else self.material.other[:, at]
            for kind in self.kinds:
                made = self.rollouts(kind)[:, at]
                first, again = self.short[f"{kind}_1"], self.short[f"{kind}_2"]
                metrics.append(controllability.delta_metric(kind, self.truth[:, at], made, first, again, real, episodes, self.seed))
        if self.keys is not None:
            metrics += self._recall()
        shown: list[Picture] = []
        if self.latent:
            told, shown = self._latent_codes()
            metrics += told
        notes = []
        if self.protocol.name == "default" and not games.branchable(self.dataset.info):
            notes.append("counterfactuals and revisits are not measured: the real game cannot be branched here")
        return Section(name="controllability", title="Controllability", metrics=tuple(metrics), pictures=tuple(shown), notes=tuple(notes))

    def _latent_codes(self) -> tuple[list[Metric], list[Picture]]:
        """How latent codes are used, and a picture of what each goes with."""
        held_out = self.dataset.split("held_out")
        frames = min(LATENT_FRAMES, longest_clip(held_out, self.world.frame_skip))
        sampler = ClipSampler(held_out, frames, self.world.frame_skip, self.seed)
        spread = sampler.spread(min(4 * self.sizes.clips, sampler.choices))
        self.progress("latent actions", 0, 1)
        codes = self.world.engine.codec.infer_actions(spread.frames)[:, 1:]  # the first has no frame before it
        where = held_out.episode_of(spread.starts)
        metrics = controllability.latent_metrics(codes, spread.actions[:, 1:], self.latent, self.names, where, self.seed)
        if not self.names:
            return metrics, []
        table = controllability.code_tables(codes, spread.actions[:, 1:], self.latent, len(self.names)).sum(0)
        return metrics, [pictures.codes_and_actions(self.workspace.folder, table, self.names)]

    def _recall(self) -> list[Metric]:
        steps, count = self.sizes.judge_steps, len(self.names)

        def train() -> dict[str, np.ndarray]:
            return inverse_dynamics.train_judge(
                self.dataset.split("train"), count, self.world.frame_skip, steps, self.seed,
                lambda done: self.progress("training the judge of actions", done, steps),
            )  # fmt: skip

        weights = self.workspace.arrays("judge", train)
        start = max(0, self.prompt_frames - inverse_dynamics.BEFORE - 1)  # so that its first answer is about the first made frame
        lead = self.material.frames[:, start : self.prompt_frames]
        clips = {"world": self.rollouts("keys"), "real": self.truth, "blind": self.rollouts("random")}
        answers = {}
        for label, frames in clips.items():
            self.progress(f"judging actions, {label}", 0, 1)
            seen = np.concatenate([lead, frames[:, :JUDGED_STEPS]], axis=1)
            answers[label] = inverse_dynamics.judged(weights, seen, count)
        return controllability.recall_metrics(self.material.actions[:, start:], answers, self.names, self.material.episodes, self.seed)

    def _counterfactuals(self) -> Section:
        held = [name for pair in controllability.CONTRASTS for name in pair]

        def make() -> dict[str, np.ndarray]:
            found = self._branch([[(name, COUNTERFACTUAL_STEPS)] for name in held], PROMPT_FRAMES)
            kept = {"prompts": found.prompts}
            for name, actions, truth in zip(held, found.actions, found.frames, strict=True):
                kept[f"truth {name}"] = truth
                kept[f"made {name}"] = self._roll(f"counterfactuals, {name}", found.prompts, self._ids(actions))
            for salt in (3, 4):
                actions = self.random("keys", found.actions[0].shape, salt)
                kept[f"blind {salt}"] = self._roll("counterfactuals, random", found.prompts, actions)
            return kept

        kept = self.workspace.arrays("counterfactuals", make)
        pairs = {
            f"{a} or {b}": ((kept[f"truth {a}"], kept[f"truth {b}"]), (kept[f"made {a}"], kept[f"made {b}"]))
            for a, b in controllability.CONTRASTS
        }
        episodes = np.arange(len(kept["prompts"]))
        section = controllability.counterfactual_section(pairs, (kept["blind 3"], kept["blind 4"]), episodes, self.seed)
        shown = pictures.counterfactuals(self.workspace.folder, kept["prompts"], pairs)
        return section.model_copy(update={"pictures": (shown,)})

    def _ids(self, actions: np.ndarray) -> np.ndarray:
        assert self.key_ids is not None
        return self.key_ids[actions]

    def _branch(self, futures: list[list[tuple[str, int]]], prompt_frames: int) -> games.Branches:
        """The real game from one moment on, under scripts of (action, frames)."""
        self.progress("the real game, branched", 0, 1)
        count, skip = self.sizes.branches, self.world.frame_skip
        total = games.SPARE * count
        lead = games.human_keys(self.dataset.info, total, games.WARM_UP + prompt_frames - 1, skip, self.seed + 7)
        scripts = [np.concatenate([np.full(frames, self.names.index(name)) for name, frames in script]) for script in futures]
        rows = [np.broadcast_to(script, (total, len(script))) for script in scripts]
        return games.branch(self.dataset.info, count, skip, self.seed + 7, lead, rows, prompt_frames)

    @cached_property
    def long(self) -> dict[str, np.ndarray]:
        """Long rollouts on action streams of the recording, "frames" and "codes", and frames of more that are "shorter"; "episodes" and
        "shorter_episodes" that their prompts are of."""

        def make() -> dict[str, np.ndarray]:
            count, more, length = self.sizes.long, self.sizes.shorter, self.sizes.long_frames
            held_out = self.dataset.split("held_out")
            clips = ClipSampler(held_out, PROMPT_FRAMES, self.world.frame_skip, self.seed).spread(count + more)
            prompts, episodes = clips.frames, held_out.episode_of(clips.starts)
            first = np.linspace(0, count + more - 1, count).astype(np.int64)  # from all over the split, as the others
            others = np.setdiff1d(np.arange(count + more), first)
            streams = self._streams(count + more, length)
            tokens: list[np.ndarray] = []
            frames = self._roll("long rollouts", prompts[first], streams[first], tokens)
            shorter = self._roll("shorter rollouts", prompts[others], streams[others, : self.sizes.shorter_frames])
            codes = self.world.engine.codec.codes(by_rollout(tokens, length)).astype(np.int32)
            return {
                "frames": frames, "codes": codes, "episodes": episodes[first], "shorter": shorter, "shorter_episodes": episodes[others],
            }  # fmt: skip

        return self.workspace.arrays("long", make)

    @property
    def rollouts_to_judge(self) -> Rollouts:
        """The long ones and the shorter ones; those beside the clips in a protocol that has no long ones."""
        if self.protocol.name == "default":
            return Rollouts(*(self.long[name] for name in ("frames", "episodes", "shorter", "shorter_episodes")))
        frames, episodes = self.rollouts(self.main), self.material.episodes
        return Rollouts(frames, episodes, frames[:0], episodes[:0])

    def _streams(self, count: int, length: int) -> np.ndarray:
        """int [count, length]: stretches of the recorded keys, or of the latent actions seen in real clips."""
        held_out, skip = self.dataset.split("held_out"), self.world.frame_skip
        rng = np.random.default_rng([self.seed, 41])
        if self.key_ids is not None and self.keys is not None:
            held = held_out.actions[held_out.actions != UNKNOWN_ACTION]  # of an episode's last frame it may be
            starts = rng.integers(len(held), size=count)
            return self.key_ids[held[(starts[:, None] + skip * np.arange(length)) % len(held)]]
        frames = min(longest_clip(held_out, skip), STREAM_FRAMES + 2)
        sampler = ClipSampler(held_out, frames, skip, self.seed)
        clips = sampler.spread(min(STREAM_CLIPS, sampler.choices))
        codes = self.world.engine.codec.infer_actions(clips.frames)[:, 1:]  # the first has no frame before it
        chosen = rng.integers(len(codes), size=(count, -(-length // codes.shape[1])))
        return codes[chosen].reshape(count, -1)[:, :length]

    @cached_property
    def real(self) -> dict[str, np.ndarray]:
        """Real held-out frames: a "reference" and, of other episodes, a "control" with its "episodes", and as many stretches "walked"
        [R, WINDOW, H, W, 3] as there are long rollouts, with frames as far apart as those that a rollout is judged by, and
        "walked_episodes"; the share of the steps of stretches that change the picture, "stirring" [Q], and "stirring_episodes"."""
        held_out, skip = self.dataset.split("held_out"), self.world.frame_skip
        numbers = np.unique(np.linspace(0, len(held_out) - 1, 2 * self.sizes.reference).astype(np.int64))
        several = len(np.unique(held_out.episode_of(numbers) % 2)) == 2

        def other(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            """Of which episode frames are (stretch, where there is one only), and whether that is on the other side."""
            where = held_out.episode_of(numbers) if several else numbers * STRETCHES // len(held_out)
            return where, where % 2 == 1

        reader = FrameReader(held_out.frames)
        episodes, odd = other(numbers)
        frames = np.concatenate([reader.read(int(number), 1) for number in numbers])
        step = min(staying_power.WINDOW_STEP, (longest_clip(held_out, skip) - 1) // (staying_power.WINDOW - 1))
        sampler = ClipSampler(held_out, staying_power.WINDOW, skip * step, self.seed)
        starts = np.unique(sampler.spread_starts(4 * self.sizes.long))
        usable = starts[other(starts)[1]]
        usable = usable if len(usable) else starts
        chosen = usable[np.unique(np.linspace(0, len(usable) - 1, self.sizes.long).astype(np.int64))]
        steps = ClipSampler(held_out, min(staying_power.STIR_FRAMES + 1, longest_clip(held_out, skip)), skip, self.seed)
        stretches = steps.spread(min(self.sizes.clips, steps.choices))
        return {
            "reference": frames[~odd], "control": frames[odd], "episodes": episodes[odd],
            "walked": sampler.read(chosen).frames, "walked_episodes": other(chosen)[0],
            "stirring": staying_power.stirring(stretches.frames), "stirring_episodes": held_out.episode_of(stretches.starts),
        }  # fmt: skip

    def _drift(self) -> Section:
        rollouts = self.rollouts_to_judge
        painted = staying_power.chosen_frames(self.round_trip["frames"])["looks"]
        episodes = self.material.episodes
        episodes = episodes if len(np.unique(episodes % 2)) == 2 else np.arange(len(episodes))
        painted_episodes = np.repeat(episodes, painted.shape[1])
        painted = painted.reshape(-1, *painted.shape[-3:])

        def make() -> dict[str, np.ndarray]:
            real = {name: self.real[name] for name in ("reference", "control", "walked")}
            chosen = staying_power.chosen_frames(rollouts.frames) | real | {"painted": painted}
            chosen["shorter"] = rollouts.shorter[:, staying_power.looks(self.sizes.shorter_frames)]
            flat = {name: part.reshape(-1, *part.shape[-3:]) for name, part in chosen.items()}
            total, done, found = sum(len(part) for part in flat.values()), 0, {}
            for name, part in flat.items():
                before = done
                found[name] = features(part, lambda n, before=before: self.progress("features", before + n, total))  # type: ignore[misc]
                done += len(part)
            return found

        seen = self.workspace.arrays("features", make)
        batch = len(rollouts.frames)
        counts = {"windows": batch, "looks": batch, "walked": len(self.real["walked"]), "shorter": self.sizes.shorter}
        seen = seen | {name: seen[name].reshape(count, -1, seen[name].shape[-1]) for name, count in counts.items()}
        real = RealFrames(
            reference=self.real["reference"], control=self.real["control"], control_episodes=self.real["episodes"],
            walked_episodes=self.real["walked_episodes"], stirring=self.real["stirring"], stirring_episodes=self.real["stirring_episodes"],
            painted=painted, painted_episodes=painted_episodes,
        )  # fmt: skip
        vocabulary = self.world.manifest.tokenizer.vocabulary
        section = staying_power.drift_section(rollouts, self.long["codes"], real, seen, vocabulary, self.seed)
        return section.model_copy(update={"pictures": (pictures.long_rollouts(self.workspace.folder, rollouts.frames),)})

    def _revisit(self) -> Section:
        def make() -> dict[str, np.ndarray]:
            slack = staying_power.RETURN_SLACK
            found = self._branch([[("left", out), ("right", out + slack)] for out in staying_power.RETURNS], PROMPT_FRAMES)
            kept = {"prompts": found.prompts}
            for out, actions, truth in zip(staying_power.RETURNS, found.actions, found.frames, strict=True):
                kept[f"real {out}"] = truth
                kept[f"world {out}"] = self._roll(f"revisits, {out} frames", found.prompts, self._ids(actions))
                blind = self.random("keys", actions.shape, 6)
                kept[f"blind {out}"] = self._roll(f"revisits, {out} frames", found.prompts, blind)
            return kept

        kept = self.workspace.arrays("walks", make)
        walks = {out: {label: kept[f"{label} {out}"] for label in ("world", "real", "blind")} for out in staying_power.RETURNS}
        section = staying_power.revisit_section(kept["prompts"][:, -1], walks, np.arange(len(kept["prompts"])), self.seed)
        shown = pictures.walks(self.workspace.folder, kept["prompts"], walks[8])
        return section.model_copy(update={"pictures": (shown,)})

    def _learned(self) -> permanence.Probe:
        def train() -> dict[str, np.ndarray]:
            sizes = self.sizes.painted_frames, self.sizes.segment_steps
            return permanence.train_looks(self.dataset.info, *sizes, self.world.frame_skip, self.seed, self.progress)

        return permanence.learned(self.workspace.arrays("segments", train), self.world.resolution)

    def _permanence(self, probe: permanence.Probe) -> Section:
        clips, made = self._with_things(probe)
        horizons = tuple(h for h in self.protocol.horizons if h <= made["world"].shape[1])
        scrolls = {label: made.pop(f"{label} scrolls") for label in ("truth", "world")}
        section = permanence.permanence_section(
            probe, self.rollouts_to_judge, self.real["control"], self.real["episodes"], {"truth": clips.frames, **made}, scrolls,
            self.prompt_frames, horizons, clips.episodes, self.seed,
        )  # fmt: skip
        shown = pictures.things(self.workspace.folder, clips.frames, self.prompt_frames, made["world"])
        return section.model_copy(update={"pictures": (shown,)})

    def _with_things(self, probe: permanence.Probe) -> tuple[Material, dict[str, np.ndarray]]:
        """Real clips that show things, and what is made of them: "world", the "tokenizer"'s round trip, and how the real and the world's
        picture scroll: "truth scrolls" and "world scrolls".

        Clips that were chosen for showing some, but where the game is played for the protocol: those.
        """
        codec = self.world.engine.codec
        if self.protocol.name != "default":
            rolled = self.rolled(self.main)
            scrolls = self.workspace.arrays("scrolls", lambda: {"truth scrolls": codec.motion(codec.encode(self.material.frames))})
            made = {"world": rolled["frames"], "world scrolls": rolled["scrolls"]}
            return self.material, made | scrolls | {"tokenizer": self.round_trip["frames"][:, self.prompt_frames :]}

        def choose() -> dict[str, np.ndarray]:
            held_out, skip = self.dataset.split("held_out"), self.world.frame_skip
            frames = min(self.prompt_frames + THING_STEPS, longest_clip(held_out, skip))
            sampler = ClipSampler(held_out, frames, skip, self.seed)
            starts = permanence.starts_with_things(
                probe, sampler, self.sizes.clips, lambda done, total: self.progress("looking for things", done, total)
            )
            return protocols.of_clips(sampler.read(starts) if len(starts) else sampler.spread(1), held_out).arrays()

        clips = Material.kept(self.workspace.arrays("things", choose))
        prompts, real = clips.frames[:, : self.prompt_frames], clips.actions[:, self.prompt_frames - 1 :]
        named = self.keys is not None and clips.labelled

        def make() -> dict[str, np.ndarray]:
            actions = self._ids(real) if named else codec.infer_actions(clips.frames)[:, self.prompt_frames - 1 :]
            rolled = self._roll_with_scrolls("rollouts beside things", prompts, actions)
            return {
                "world": rolled["frames"],
                "world scrolls": rolled["scrolls"],
                "tokenizer": codec.unrolled(clips.frames)[0][:, self.prompt_frames :],
                "truth scrolls": codec.motion(codec.encode(clips.frames)),
            }

        return clips, self.workspace.arrays("rollouts_things", make)

    def _ball(self) -> Section:
        held_out, skip = self.dataset.split("held_out"), self.world.frame_skip
        sampler = ClipSampler(held_out, min(longest_clip(held_out, skip), REAL_BALL_FRAMES), skip, self.seed)
        real = sampler.spread(min(self.sizes.long, sampler.choices))
        clips = {"world": self.long["frames"], "real": real.frames}
        episodes = {"world": self.long["episodes"], "real": held_out.episode_of(real.starts)}
        return ball.ball_section(clips, episodes, self.seed)


def key_ids(world: World, dataset: Dataset) -> np.ndarray | None:
    """The world's action for each recorded action of the dataset: of the same name, or on the same keys. None where it has none."""
    info = dataset.info
    named = {action.name: action.id for action in world.actions if action.kind == "recorded"}
    if info.action_names and set(info.action_names) <= set(named):
        return np.array([named[name] for name in info.action_names])
    if len(info.action_keys) != len(info.action_names) or not info.action_names:
        return None
    found = np.array([world.action_table.for_keys(frozenset(keys)).id for keys in info.action_keys])
    return found if len(np.unique(found)) > 1 else None
