"""`genie worlds`: what is installed, and how good each is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from genie.bundle import Manifest, Marks


def worlds() -> None:
    """List the installed worlds, with the marks that they carry."""
    from genie.bundle import Bundle
    from genie.errors import GenieError
    from genie.evaluation.report import SCHEMA_VERSION
    from genie.world import installed_worlds

    console = Console()
    opened: dict[str, tuple[Manifest, Marks | None]] = {}
    for name, path in installed_worlds().items():
        try:
            bundle = Bundle(path)
            opened[name] = bundle.manifest, bundle.marks
        except GenieError as error:
            console.print(f"[red]{escape(f'{name}: {error}')}[/]", highlight=False)
    if not opened:
        console.print("no worlds are installed; `genie train` makes one.")
        return
    table = Table("world", "frames", "a second", "keys, beside its latent actions", "prompts", "size", "marks")
    for name, (manifest, marks) in opened.items():
        height, width = manifest.tokenizer.resolution
        named = ", ".join(action.name for action in manifest.actions if action.kind == "recorded")
        megabytes = sum(entry.size for entry in manifest.files.values()) / 2**20
        table.add_row(escape(name), f"{width}×{height}", f"{manifest.frame_rate:.3g}", escape(named or "–"), str(len(manifest.prompts)),
                      f"{megabytes:.0f} MB", verdict(marks))  # fmt: skip
    console.print(table)
    console.print(figures({name: marks for name, (_, marks) in opened.items() if marks is not None}))
    for name, (manifest, marks) in opened.items():
        notes = [] if marks is None else [*marks.reasons, *marks.notes]
        if marks is not None and marks.evaluation != SCHEMA_VERSION:
            notes.append("its marks were measured in another way than this genie measures; `genie eval --gate` makes new ones")
        for says in (manifest.licence, *notes):
            console.print(f"[bold]{escape(name)}[/]: {escape(says)}", highlight=False)


def verdict(marks: Marks | None) -> str:
    """What the gate found, in a word or two."""
    if marks is None:
        return "none (genie eval --gate)"
    return "shippable" if marks.shippable else "not shippable"


def figures(marked: dict[str, Marks]) -> Table | str:
    """The marks of worlds by name: a row a figure, a column a world."""
    from genie.metrics import short

    titles = {name: figure.heading for marks in marked.values() for name, figure in marks.figures.items()}
    if not titles:
        return ""
    table = Table("marks on held-out levels", *(escape(name) for name in marked))
    for name, title in titles.items():
        found = (marks.figures.get(name) for marks in marked.values())
        table.add_row(escape(title), *("–" if figure is None else short(figure.value) for figure in found))
    return table
