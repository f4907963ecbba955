"""What an evaluation found: the schema of `report.json`. Figures without a value (nothing to measure) are null, never NaN."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 5  # also when a figure is measured otherwise than before


class Model(BaseModel):
    """Of every part of a report."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Estimate(Model):
    """A figure and its 95 % interval by bootstrap over episodes."""

    value: float | None
    low: float | None = None
    high: float | None = None
    episodes: int = Field(default=0, ge=0)  # independent ones behind it

    @classmethod
    def of(cls, value: float, low: float, high: float, episodes: int) -> Estimate:
        """The same from plain floats; what is not finite becomes null."""
        value, low, high = (float(number) for number in (value, low, high))
        bounds = [number if math.isfinite(number) else None for number in (value, low, high)]
        return cls(value=bounds[0], low=bounds[1], high=bounds[2], episodes=episodes)


class Metric(Model):
    """One figure of the world, between what the real game scores against itself and what an action-blind world scores."""

    name: str  # unique in a report, e.g. "delta_4_keys"
    title: str
    unit: str = ""  # "dB", "bits", "frames", "" for shares and ratios
    better: Literal["higher", "lower", "neither"] = "higher"
    world: Estimate
    real: Estimate | None = None  # upper bound
    blind: Estimate | None = None  # lower bound
    useless: bool = False  # the bounds cannot be told apart: it says nothing, and is left out of the summary
    note: str = ""
    headline: bool = False  # belongs in the summary, unless it is useless


class Curve(Model):
    """Estimates over a number of frames, one line a label."""

    name: str
    title: str
    unit: str = ""
    x: tuple[int, ...]  # frames
    x_title: str = "frames"
    log_x: bool = True
    lines: dict[str, tuple[Estimate, ...]]


class Picture(Model):
    """A picture beside the report, shown in it."""

    file: str = Field(pattern=r"^[a-z0-9_]+\.(png|gif)$")
    title: str
    caption: str


class Section(Model):
    """What one family of metrics found."""

    name: str
    title: str
    metrics: tuple[Metric, ...] = ()
    curves: tuple[Curve, ...] = ()
    pictures: tuple[Picture, ...] = ()
    notes: tuple[str, ...] = ()


class GateCheck(Model):
    """One condition of the gate."""

    title: str
    passed: bool
    says: str  # the figure and what it had to be


class Gate(Model):
    """Whether the world may ship."""

    checks: tuple[GateCheck, ...]

    @property
    def passed(self) -> bool:
        """All conditions hold."""
        return all(check.passed for check in self.checks)


class Settings(Model):
    """What a report was asked for; a folder holds the parts of one setting only."""

    schema_version: int = SCHEMA_VERSION
    world: str
    weights: str  # digest of the world's weights and shapes
    sampling: dict[str, Any]
    backend: str
    dataset: str
    fingerprint: str  # of the dataset
    protocol: str
    clips: int
    seed: int


class Report(Model):
    """`report.json`."""

    settings: Settings
    date: str
    machine: dict[str, Any]
    seconds: dict[str, float]  # each part's wall time
    sections: tuple[Section, ...]
    gate: Gate | None = None

    def metric(self, name: str) -> Metric | None:
        """The metric of this name, if it was measured."""
        return next((metric for section in self.sections for metric in section.metrics if metric.name == name), None)

    @property
    def summary(self) -> tuple[Metric, ...]:
        """The headline metrics that can tell a game from a world that does not listen."""
        return tuple(m for section in self.sections for m in section.metrics if m.headline and not m.useless and m.world.value is not None)

    @property
    def dropped(self) -> tuple[Metric, ...]:
        """The metrics that cannot."""
        return tuple(metric for section in self.sections for metric in section.metrics if metric.useless)
