"""`report.html`: one file that needs nothing else; pictures and plots are inside."""

from __future__ import annotations

import base64
from importlib.resources import files
from pathlib import Path

from genie.evaluation.pictures import plot
from genie.evaluation.report import Estimate, Report


def write_html(report: Report, folder: Path) -> Path:
    """Write `report.html` beside the report's pictures."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["estimate"] = shown
    template = environment.from_string(files("genie.evaluation").joinpath("report.html.j2").read_text())
    pictures = {
        picture.file: _embedded((folder / picture.file).read_bytes(), picture.file.rpartition(".")[2])
        for section in report.sections
        for picture in section.pictures
        if (folder / picture.file).is_file()
    }
    plots = {curve.name: _embedded(plot(curve), "png") for section in report.sections for curve in section.curves}
    path = folder / "report.html"
    partial = path.with_name("report.html.partial")
    partial.write_text(template.render(report=report, pictures=pictures, plots=plots))
    partial.replace(path)
    return path


def shown(estimate: Estimate | None, unit: str = "") -> str:
    """A figure with its interval, short."""
    if estimate is None or estimate.value is None:
        return "–"
    text = _number(estimate.value)
    if estimate.low is not None and estimate.high is not None and estimate.low != estimate.high:
        text += f" ({_number(estimate.low)} … {_number(estimate.high)})"
    return f"{text} {unit}".rstrip()


def _number(value: float) -> str:
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 100 else f"{value:.2f}" if size >= 0.095 or size == 0 else f"{value:.4f}"


def _embedded(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
