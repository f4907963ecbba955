"""The gate: what a world must show before it may ship, and the marks that go into its bundle."""

from __future__ import annotations

from collections.abc import Sequence

from genie.bundle import Figure, Marks
from genie.evaluation.controllability import DEAD_SHARE
from genie.evaluation.report import Gate, GateCheck, Metric, Report
from genie.horizons import DELTA_STEPS
from genie.metrics import short

LEAST_FRAMES = 256  # of a rollout before it may collapse
FIGURES = (  # metrics that become marks, where they were measured
    f"delta_{DELTA_STEPS}_latent",
    f"delta_{DELTA_STEPS}_keys",
    "psnr_1_keys",
    "psnr_4_keys",
    "action_f1_share",
    "half_life",
    "agent_alone",
)


def judge(report: Report, least_recall: float) -> Gate:
    """Every condition with its figure.

    What could not be measured is not met, save the recall of actions where no actions are known and the use of latent codes where a world
    has none. Nor is a figure by which the real game and a world that does not listen cannot be told apart.
    """
    checks = []
    for kind in ("latent", "keys"):
        found = report.metric(f"delta_{DELTA_STEPS}_{kind}")
        if found is not None:
            low = found.world.low
            passed = low is not None and low > 0 and not found.useless
            checks.append(GateCheck(title=found.title, passed=passed, says=f"{_shown(found)}; its interval must lie above 0"))
    if not checks:
        checks.append(GateCheck(title=f"Δ_{DELTA_STEPS} PSNR", passed=False, says="not measured: the clips are shorter than that"))
    rarest = report.metric("latent_rarest_share")
    if rarest is not None:
        checks.append(_at_least(rarest, "no dead latent code", DEAD_SHARE))
    if report.metric("action_f1") is not None:
        checks.append(_at_least(report.metric("action_f1_share"), "action recall", least_recall))
    checks.append(_at_least(report.metric("half_life"), "staying power", LEAST_FRAMES))
    return Gate(checks=tuple(checks))


def marks_of(report: Report, gate: Gate, notes: Sequence[str] = ()) -> Marks:
    """What the bundle keeps; `notes` are of the data that it was judged on."""
    figures = {}
    for name in FIGURES:
        metric = report.metric(name)
        if metric is not None and metric.world.value is not None and not metric.useless:
            figures[name] = Figure(
                title=metric.title, unit=metric.unit, value=metric.world.value, low=metric.world.low, high=metric.world.high
            )
    settings = report.settings
    return Marks(
        weights=settings.weights,
        shippable=gate.passed,
        reasons=tuple(f"{check.title}: {check.says}" for check in gate.checks if not check.passed),
        notes=tuple(notes),
        date=report.date,
        dataset=settings.dataset,
        clips=settings.clips,
        seed=settings.seed,
        evaluation=settings.schema_version,
        figures=figures,
    )


def _at_least(metric: Metric | None, title: str, least: float) -> GateCheck:
    if metric is None or metric.world.value is None:
        return GateCheck(title=title, passed=False, says="not measured")
    passed = metric.world.value >= least and not metric.useless
    return GateCheck(title=title, passed=passed, says=f"{metric.title}: {_shown(metric)}; it must be {least:g} or more")


def _shown(metric: Metric) -> str:
    world = metric.world
    interval = f" ({short(world.low)} … {short(world.high)})" if world.low is not None and world.high is not None else ""
    if world.value is None:
        return "not measured"
    doubt = ", a figure that cannot tell the real game from a world that does not listen" if metric.useless else ""
    return f"{short(world.value)}{interval} {metric.unit}".rstrip() + doubt
