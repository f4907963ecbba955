"""`genie worlds`: what is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from genie.bundle import Marks


def worlds() -> None:
    """List the installed worlds."""
    from genie.bundle import Bundle
    from genie.errors import GenieError
    from genie.world import installed_worlds

    console = Console()
    table = Table("world", "resolution", "frames/s", "actions", "prompts", "size", "marks", "licence")
    found = installed_worlds()
    for name, path in found.items():
        try:
            bundle = Bundle(path)
            manifest, marks = bundle.manifest, bundle.marks
        except GenieError as error:
            console.print(f"[red]{escape(f'{name}: {error}')}[/]", highlight=False)
            continue
        megabytes = sum(entry.size for entry in manifest.files.values()) / 2**20
        height, width = manifest.tokenizer.resolution
        named = [action.name for action in manifest.actions if action.kind == "recorded"]
        latent = len(manifest.actions) - len(named)
        actions = f"{latent} latent" + (f", {', '.join(named)}" if named else "")
        table.add_row(escape(name), f"{width}×{height}", f"{manifest.frame_rate:g}", escape(actions), str(len(manifest.prompts)),
                      f"{megabytes:.1f} MB", escape(_says(marks)), escape(manifest.licence))  # fmt: skip
    if found:
        console.print(table)
    else:
        console.print("no worlds are installed; `genie train` makes one.")


def _says(marks: Marks | None) -> str:
    """What the gate found, in a cell."""
    if marks is None:
        return "none (genie eval --gate)"
    figures = "\n".join(f"{figure.title}: {figure.value:.3g} {figure.unit}".rstrip() for figure in marks.figures.values())
    verdict = "shippable" if marks.shippable else "not shippable: " + "; ".join(marks.reasons)
    return f"{verdict}\n{figures}".rstrip()
