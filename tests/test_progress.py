"""Bars in a log file."""

from __future__ import annotations

import io

from rich.console import Console

from genie.progress import Bars


def lines_of(every: float) -> list[str]:
    out = io.StringIO()
    with Bars(console=Console(file=out, force_terminal=False, width=100), every=every) as bars:
        task = bars.add_task("record [train]", total=2_000)
        for done in (500, 1_500):
            bars.update(task, completed=done)
    return out.getvalue().splitlines()


def test_a_log_file_is_told_how_far_it_is() -> None:
    assert lines_of(0.0)[:2] == ["record [train]: 500 of 2,000", "record [train]: 1,500 of 2,000"]


def test_but_not_at_every_step() -> None:
    assert not any("of 2,000" in line for line in lines_of(60.0))
