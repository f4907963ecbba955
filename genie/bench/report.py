"""A bench report as a table and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def print_report(report: dict[str, Any], console: Console) -> None:
    """One row a back end, then the batches."""
    world = report["world"]
    title = f"{world['name']}, {world['resolution'][1]}×{world['resolution'][0]}, {report['passes']} passes a frame"
    speed = _table(f"{title}: one rollout, ms", "frames/s", "× reference", "p50", "p99", "embed", "sampling", "decode", "rest")
    start = _table("latency and memory", "key to frame, ms", "first frame cold, s", "warm, s", "peak, MiB")
    for row in report["backends"]:
        if "error" in row:
            speed.add_row(row["backend"], f"[red]{escape(row['error'])}[/]")
            continue
        step, first = row["step_milliseconds"], row.get("first_frame_seconds", {})
        parts = (_figure(step.get(part), 2) for part in ("p50", "p99", "embed", "sampling", "decode", "rest"))
        speed.add_row(row["backend"], f"{row['frames_per_second']:.1f}", _figure(row.get("speedup"), 1), *parts)
        seconds = (_figure(first.get(kind), 2) for kind in ("cold", "warm"))
        start.add_row(row["backend"], _figure(row.get("key_to_frame_milliseconds"), 0), *seconds, f"{row['peak_memory_mib']:.0f}")
    console.print(speed, start)
    rows = [row for row in report["backends"] if row.get("batches")]
    if rows:
        sizes = [found["batch"] for found in rows[0]["batches"]]
        batches = Table("back end", *(f"B = {size}" for size in sizes), title="frames/s of all rollouts together (× the world's own rate)")
        for row in rows:
            cells = [f"{found['frames_per_second']:.0f} ({found['real_time_factor']:.1f}×)" for found in row["batches"]]
            batches.add_row(row["backend"], *cells)
        console.print(batches)
    for row in report["backends"]:
        flat = row.get("flatness")
        if flat and flat["aged_over_fresh"] is not None:
            console.print(
                f"{row['backend']}: {flat['first_milliseconds']:.2f} ms a frame at the start, {flat['last_milliseconds']:.2f} ms at frame "
                f"{row['frames']:,}; in turns with a rollout 100 frames old {flat['aged_over_fresh']:.3f} times its time; memory grew by "
                f"{flat['memory_growth_mib']:.1f} MiB"
            )
    if report.get("parity"):
        _print_parity(report["parity"], console)


def _print_parity(found: dict[str, Any], console: Console) -> None:
    first = found["first"]
    where = f", the first at prompt {first['prompt']}, frame {first['frame']}" if first else ""
    console.print(
        f"{' and '.join(found['backends'])}: {found['different']} of {found['codes']:,} codes differ from equal contexts{where}",
        highlight=False,
    )
    alone = Table("prompt", "first other pixel", "pixels", "levels", "first other code", title=f"left alone for {found['frames']} frames")
    for row in found["alone"]:
        alone.add_row(*("–" if row[key] is None else str(row[key]) for key in ("prompt", "first_pixel", "pixels", "levels", "first_code")))
    console.print(alone)


def _table(title: str, *columns: str) -> Table:
    table = Table("back end", title=title)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _figure(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def plot_report(report: dict[str, Any], path: Path) -> None:
    """Four curves as a PNG: where a step's time goes, throughput over batch size, time and memory over a long rollout."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [row for row in report["backends"] if "error" not in row]
    figure, ((parts, batches), (pace, memory)) = pyplot.subplots(2, 2, figsize=(12, 8), layout="constrained")
    names = [row["backend"] for row in rows]
    left = [0.0] * len(rows)
    for part in ("embed", "sampling", "decode", "rest"):
        widths = [row["step_milliseconds"].get(part, 0.0) for row in rows]
        parts.barh(names, widths, left=left, label=part)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    whole = [row["step_milliseconds"]["p50"] if not width else 0.0 for row, width in zip(rows, left, strict=True)]
    parts.barh(names, whole, label="whole step")
    parts.set(xlabel="ms a frame", title="one rollout")
    parts.legend()
    for row in rows:
        if row.get("batches"):
            sizes = [found["batch"] for found in row["batches"]]
            batches.plot(sizes, [found["real_time_factor"] for found in row["batches"]], marker="o", label=row["backend"])
        if row.get("flatness"):
            curve = row["flatness"]["curve"]
            pace.plot(curve["frame"], curve["milliseconds"], label=row["backend"])
            memory.plot(curve["frame"], curve["memory_mib"], label=row["backend"])
    batches.set(xlabel="rollouts in a batch", ylabel="× the world's own frame rate", title="throughput", xscale="log")
    pace.set(xlabel="frame", ylabel="ms a frame (median)", title="time over a rollout", ylim=(0, None))
    memory.set(xlabel="frame", ylabel="MiB", title="memory over a rollout", ylim=(0, None))
    for axes in (batches, pace, memory):
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
    figure.suptitle(f"{report['world']['name']} on {report['machine']['processor']}, {report['machine']['cores']} cores")
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
