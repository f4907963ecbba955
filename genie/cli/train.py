"""`genie train`: from a dataset to a world."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from genie.errors import TrainingError

if TYPE_CHECKING:
    from genie.bundle import Manifest
    from genie.data.store import DatasetInfo
    from genie.runtime.actions import ActionTable


def train(
    data: Annotated[Path, typer.Argument(help="The dataset's folder.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; an interrupted run goes on.")],
    stage: Annotated[str | None, typer.Option(help="Train one stage: tokenizer, latent_actions or dynamics.")] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="default; still, for a camera that stands still and things of a few pixels; per-frame, as published; smoke."),
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Minutes of the stage, or of all three together.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the stage, or of each of the three.")] = None,
    base: Annotated[str | None, typer.Option(help="Keep the tokenizer and latent actions of this world; train the dynamics.")] = None,
    fine_tune: Annotated[
        list[str] | None,
        typer.Option(
            help="With --base: a stage that begins with that world's weights and is trained further; may be repeated. With all, it may be "
            "a world of another game."
        ),
    ] = None,
    blend: Annotated[
        float | None,
        typer.Option(min=0.01, max=1, help="With --fine-tune: share of the new weights in the result; the rest is the base's. Try 0.5."),
    ] = None,
    actions: Annotated[
        str | None,
        typer.Option(
            help="Which actions the world has: both (latent ones, and named ones where the data has labels), latent, or recorded alone."
        ),
    ] = None,
    reach: Annotated[
        str | None,
        typer.Option(
            help="Columns x rows, e.g. 12x4: how many pixels the view moves from one frame to the next. The tokenizer looks so far; "
            "the latent actions, which then have to say where the view goes, four times as far."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**63 - 1)] = None,
    allow_unknown_licence: Annotated[
        bool, typer.Option("--allow-unknown-licence", help="Train although nobody said under what terms the data may be used.")
    ] = False,
    rows: Annotated[
        int | None,
        typer.Option(min=1, help="Clips or sequences in a step of each stage; default: few, as suits a CPU. A GPU takes 32 to 64."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other setting, as settings.json of a run names it: tokenizer.codes=8. May be repeated."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto (the GPU where torch can use one), cpu or cuda.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all cores.")] = None,
) -> None:
    """Train tokenizer, latent actions and dynamics in order, and export the world."""
    from genie.cli.extras import need_torch

    need_torch("genie train")
    import torch

    from genie.backends import resolve_device
    from genie.data.card import licence_known
    from genie.data.store import Dataset
    from genie.training.pipeline import Pipeline, take_over
    from genie.training.settings import SETTINGS_FILE, STAGES, Hears, open_run, presets, read_settings
    from genie.world import open_bundle

    chosen = next((name for name in STAGES if name == stage), None)
    if stage is not None and chosen is None:
        raise TrainingError(f"there is no stage {stage!r}; choose one of {', '.join(STAGES)}.")
    known = presets()
    if preset is not None and preset not in known:
        raise TrainingError(f"there is no preset {preset!r}; choose one of {', '.join(known)}.")
    dataset = Dataset(data)
    if not licence_known(dataset.info.licence) and not allow_unknown_licence:
        raise TrainingError(
            f"{data}: the licence of the data is unknown. Record or import it with --licence, or say --allow-unknown-licence; "
            f"the world's card will then say unknown too."
        )
    further = list(STAGES) if fine_tune == ["all"] else [name for name in STAGES if name in (fine_tune or ())]
    whole = base is None or further == list(STAGES)
    if actions is not None and actions not in get_args(Hears):
        raise TrainingError(f"--actions takes {', '.join(get_args(Hears))}, not {actions!r}.")
    if reach is not None and not whole:
        raise TrainingError("--reach is for models that are all trained; those of --base have theirs. With --fine-tune all it can be said.")
    trained_on = resolve_device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    wanted = known[preset] if preset is not None else read_settings(out) if (out / SETTINGS_FILE).exists() else known["default"]
    if seed is not None:
        wanted = wanted.model_copy(update={"seed": seed})
    if fine_tune != ["all"] and len(further) != len(set(fine_tune or ())):
        raise TrainingError(f"--fine-tune takes all, {', '.join(STAGES)}, not {', '.join(fine_tune or ())}.")
    if further and base is None:
        raise TrainingError("--fine-tune trains a world's models further; say which world with --base.")
    if blend is not None:
        if not further:
            raise TrainingError("--blend mixes what --fine-tune trains with what it began with; say which stage with --fine-tune.")
        wanted = wanted.model_copy(update={"blend": blend})
    bundle = open_bundle(base) if base is not None else None
    if bundle is not None:
        if bundle.manifest.tokenizer.resolution != dataset.info.resolution and not whole:
            raise TrainingError(
                f"{data} has another resolution than {base}: say --fine-tune all to begin with what fits of its weights, "
                f"or leave out --base."
            )
        wanted = wanted.based_on(bundle, further)
    if actions is not None:
        wanted = wanted.model_copy(update={"actions": actions})
    if reach is not None:
        wanted = wanted.reaching(parse_reach(reach), dataset.info.resolution)
    trained = (chosen,) if chosen is not None else () if wanted.trains_all else tuple(dict.fromkeys((*wanted.fine_tune, "dynamics")))
    wanted = wanted.bounded(minutes, steps, *trained)
    if rows is not None:
        wanted = wanted.with_rows(rows)
    asked, wanted = any(one.partition("=")[0].strip() == "own_frames" for one in settings or ()), wanted.changed(settings or ())
    table = Pipeline(dataset, out, wanted).table  # models that do not fit the data are told before anything is written
    if bundle is not None and not asked:
        if (out / SETTINGS_FILE).exists():
            wanted = wanted.model_copy(update={"own_frames": read_settings(out).own_frames})
        elif not same_game(bundle.manifest, dataset.info, table):
            wanted = wanted.model_copy(update={"own_frames": 0})  # its dynamics knows nothing of this game, or of these actions, yet
    kept = open_run(out, dataset, wanted)
    if bundle is not None:
        take_over(out, bundle, kept.fine_tune)
    Pipeline(dataset, out, kept, device=trained_on).train(chosen)


def same_game(manifest: Manifest, info: DatasetInfo, table: ActionTable) -> bool:
    """Whether a world's game, frames and actions are those of a dataset and of the world that is to be trained on it.

    What says nothing of its game, as a video, may be of any.
    """
    recipes = (manifest.training.get("dataset", {}).get("recipe", {}), info.recipe)
    games = [str(recipe.get("game", "")).partition(" (")[0] for recipe in recipes]  # in whatever version
    names = [[action.name for action in actions] for actions in (manifest.actions, table.actions)]
    return manifest.tokenizer.resolution == info.resolution and names[0] == names[1] and ("" in games or games[0] == games[1])


def parse_reach(text: str) -> tuple[int, int]:
    """`12x4` (columns x rows, as pictures are named) -> (4, 12), rows first.

    Raises:
        TrainingError: it is something else.
    """
    columns, times, rows = text.lower().replace("×", "x").partition("x")
    if not (times and columns.isdecimal() and rows.isdecimal()):
        raise TrainingError(f"--reach {text!r} is no reach; write columns x rows in pixels, for example 12x4, or 0x0 for none.")
    return int(rows), int(columns)
