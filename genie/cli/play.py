"""`genie play`: a world in a window, or a scripted take without one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import track

from genie.errors import GenieError

if TYPE_CHECKING:
    from genie.runtime.actions import Action
    from genie.sessions.session import Session
    from genie.world import World

DEMO_SCRIPT = "right:24,right+jump:16,right:16,noop:8,left:16,jump:8"  # for worlds with CoinRun's named actions


def play(
    world: Annotated[str | None, typer.Argument(help="An installed world (`genie worlds`) or a bundle's path; default: home.")] = None,
    prompt: Annotated[str | None, typer.Option(help="A prompt's name or a picture file; default: the first prompt.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1)] = 0,
    headless: Annotated[bool, typer.Option(help="Play a scripted take without a window.")] = False,
    frames: Annotated[int, typer.Option(min=1, max=1_000_000, help="Frames of a headless take.")] = 128,
    actions: Annotated[str | None, typer.Option(help="Script of a headless take, e.g. right:32,jump:8.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write a headless take: .mp4, .gif, .png or .npz.")] = None,
    save: Annotated[Path | None, typer.Option(help="Save a headless take as a .session file as well.")] = None,
    journal: Annotated[Path | None, typer.Option(help="New folder where a headless take is written down while it is played.")] = None,
    scale: Annotated[int | None, typer.Option(min=1, max=32, help="Screen pixels a side of one world pixel.")] = None,
    passes: Annotated[int | None, typer.Option(min=1, max=64, help="Sampling passes a frame; default: the world's.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0.0, max=10.0, help="Sampling temperature.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    backend: Annotated[str, typer.Option(help="auto (see `genie bench`), onnx, onnx-int8, torch, …")] = "auto",
) -> None:
    """Play a world: arrows or WASD and Space act, P or Esc pauses and offers everything else, F1 helps. Without a world: home."""
    if not headless and any(option is not None for option in (actions, out, save, journal)):
        raise GenieError("--actions, --out, --save and --journal belong to a take without a window; add --headless.")
    if save is not None:
        from genie.sessions.archive import check_session_path

        check_session_path(save)
    if out is not None:
        from genie.sessions.video import check_video_path

        check_video_path(out)
    sampling = {key: value for key, value in {"passes": passes, "temperature": temperature}.items() if value is not None}
    if not headless:
        from player.launch import display_available, launch

        if display_available():
            opened = _opened(world, prompt, device, backend) if world or prompt or sampling else None
            launch(opened, prompt, seed, scale, (device, backend), **sampling)
            return
        Console().print("There is no display here: playing a scripted take instead.")
    from genie.sessions.session import Session

    opened = _opened(world, prompt, device, backend)
    script = _script(opened, actions)
    session = Session.start(opened, prompt, seed, journal=journal, **sampling)
    try:
        _headless(opened, session, script, frames, out or Path(f"{opened.name}-seed{seed}.mp4"))
        if save is not None:
            session.save(save)
            Console().print(f"{save.resolve()}: the session", highlight=False, soft_wrap=True, markup=False)
    except BaseException:
        session.close(recoverable=True)
        raise
    session.close()


def _script(world: World, wanted: str | None) -> list[Action]:
    """What is played without a window: what was asked for, or what shows the world."""
    from genie.sessions.script import parse_actions

    names = {action.name for action in world.actions}
    demo = DEMO_SCRIPT if "right+jump" in names else ",".join(f"{action.id}:12" for action in world.actions)
    return parse_actions(wanted or demo, world.action_table)


def _opened(world: str | None, prompt: str | None, device: str, backend: str) -> World:
    """The world, its prompt looked up already: a wrong name is told before a window opens."""
    from genie.world import DEFAULT_WORLD, load_world

    opened = load_world(world or DEFAULT_WORLD, device=device, backend=backend)
    opened.prompt_frames(prompt)
    return opened


def _headless(world: World, session: Session, script: list[Action], frames: int, out: Path) -> None:
    from genie.sessions.script import play_script
    from genie.sessions.video import write_video

    console = Console()
    take = _Take(play_script(session, script, frames))
    write_video(out, track(take, total=frames + 1, description="playing", console=console), world.frame_rate)
    console.print(
        f"{out.resolve()}: {frames} frames at {frames / take.seconds:.1f} frames/s on {world.backend} "
        f"({world.frame_rate:g} is the game's own), fingerprint {take.fingerprint}",
        highlight=False,
        soft_wrap=True,
    )


class _Take:
    """Frames uint8 [H, W, 3] on their way to a file, timed without the writing, and named."""

    def __init__(self, frames: Iterator[np.ndarray]) -> None:
        from genie.sessions.script import Fingerprint

        self._frames, self.fingerprint = frames, Fingerprint()
        self.seconds = 0.0  # that making them took

    def __iter__(self) -> Iterator[np.ndarray]:
        return self

    def __next__(self) -> np.ndarray:
        began = time.perf_counter()
        try:
            frame = next(self._frames)
        finally:
            self.seconds += time.perf_counter() - began
        self.fingerprint.add(frame)
        return frame
