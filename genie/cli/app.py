"""The console script `genie`."""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from rich.markup import escape

from genie.cli import bench, dataset, evaluate, export, importing, play, practise, record, session, train, worlds
from genie.errors import GenieError

app = typer.Typer(
    help="Learn a world from gameplay video, then play it.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)
app.command("play")(play.play)
app.command("worlds")(worlds.worlds)
app.command("record")(record.record)
app.command("practise")(practise.practise)
app.command("import")(importing.import_)
app.add_typer(dataset.app, name="dataset")
app.add_typer(session.app, name="session")
app.command("replay")(session.replay)
app.command("train")(train.train)
app.command("eval")(evaluate.evaluate)
app.command("export")(export.export)
app.command("bench")(bench.bench)


def main() -> None:
    """Run the command line; an error that the user can act on becomes one line and exit status 2."""
    try:
        app()
    except (GenieError, OSError) as error:
        Console(stderr=True).print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
