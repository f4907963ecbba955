"""Progress bars that say something in a log file too."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import Progress, ProgressColumn, TaskID

EVERY = 30.0  # seconds between lines


class Bars(Progress):
    """Rich's bars; where no terminal shows them, as under nohup, a line every half minute."""

    def __init__(self, *columns: str | ProgressColumn, console: Console, transient: bool = False, every: float = EVERY) -> None:
        super().__init__(*columns, console=console, transient=transient)
        self._every, self._said = every, time.monotonic()

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """As `rich.progress.Progress.update`."""
        super().update(task_id, **changes)
        if self.console.is_terminal or time.monotonic() - self._said < self._every:
            return
        self._said = time.monotonic()
        task = self._tasks[task_id]
        total = "" if task.total is None else f" of {task.total:,.0f}"
        self.console.print(f"{task.description}: {task.completed:,.0f}{total}", highlight=False, markup=False)
