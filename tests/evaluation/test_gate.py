"""The gate: each of its conditions alone keeps a world from shipping; marks live in the bundle."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

import genie
from genie.bundle import CARD, MANIFEST, MARKS, Bundle, put_marks
from genie.cli.app import app
from genie.cli.worlds import figures, verdict
from genie.evaluation.gate import judge, marks_of
from genie.evaluation.report import Estimate, Metric, Report, Section, Settings
from genie.evaluation.run import checked
from genie.world import installed_worlds


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of the shipped world."""
    return Path(shutil.copytree(installed_worlds()["coinrun"], tmp_path / "coinrun"))


def metric(name: str, value: float, low: float | None = None, **more: object) -> Metric:
    return Metric(name=name, title=name, world=Estimate(value=value, low=value if low is None else low, high=value), **more)  # type: ignore[arg-type]


GOOD = {
    "delta_4_latent": metric("delta_4_latent", 5.0, 4.0),
    "delta_4_keys": metric("delta_4_keys", 8.0, 7.0),
    "latent_rarest_share": metric("latent_rarest_share", 0.07),
    "action_f1": metric("action_f1", 0.6),
    "action_f1_share": metric("action_f1_share", 0.95),
    "half_life": metric("half_life", 1000),
}


def report(weights: str = "0" * 64, **changes: Metric | None) -> Report:
    metrics = tuple(m for m in {**GOOD, **changes}.values() if m is not None)
    settings = Settings(
        world="w", weights=weights, sampling={}, backend="onnx", dataset="coinrun", fingerprint="f", protocol="default", clips=64, seed=0
    )
    return Report(settings=settings, date="2026-01-01", machine={}, seconds={}, sections=(Section(name="s", title="s", metrics=metrics),))


def test_a_good_world_passes() -> None:
    assert judge(report(), 0.8).passed


@pytest.mark.parametrize(
    ("change", "title"),
    [
        ({"delta_4_keys": metric("delta_4_keys", 0.3, -0.1)}, "delta_4_keys"),
        ({"delta_4_latent": metric("delta_4_latent", 0.0, 0.0)}, "delta_4_latent"),
        ({"latent_rarest_share": metric("latent_rarest_share", 0.001)}, "no dead latent code"),
        ({"action_f1_share": metric("action_f1_share", 0.79)}, "action recall"),
        ({"half_life": metric("half_life", 255)}, "staying power"),
        ({"half_life": None}, "staying power"),
        ({"action_f1_share": metric("action_f1_share", 0.99, useless=True)}, "action recall"),  # a judge that knows no action
        ({"delta_4_keys": metric("delta_4_keys", 8.0, 7.0, useless=True)}, "delta_4_keys"),
        ({"delta_4_keys": None, "delta_4_latent": None}, "Δ_4 PSNR"),
    ],
)
def test_each_condition_alone_refuses(change: dict[str, Metric | None], title: str) -> None:
    gate = judge(report(**change), 0.8)
    assert [check.title for check in gate.checks if not check.passed] == [title]
    assert not marks_of(report(**change), gate).shippable


def test_a_world_without_labels_need_not_know_their_names() -> None:
    assert judge(report(action_f1=None, action_f1_share=None), 0.8).passed


def test_a_metric_that_cannot_tell_real_from_blind_is_useless_and_left_out_of_the_summary() -> None:
    def estimate(low: float, high: float) -> Estimate:
        return Estimate(value=(low + high) / 2, low=low, high=high)

    telling = metric("telling", 0.5, real=estimate(0.9, 1.0), blind=estimate(0.1, 0.3), headline=True)
    mute = metric("mute", 0.5, real=estimate(0.4, 0.6), blind=estimate(0.5, 0.7), headline=True)
    found = report(telling=checked(telling), mute=checked(mute))
    assert [m.name for m in found.summary] == ["telling"]
    assert [m.name for m in found.dropped] == ["mute"]
    assert "cannot be told apart" in found.dropped[0].note


def test_marks_are_kept_in_the_bundle_and_shown_only_for_the_weights_that_were_judged(bundle: Path) -> None:
    digest = Bundle(bundle).manifest.weights_digest
    found = report(weights=digest)
    put_marks(bundle, marks_of(found, judge(found, 0.8)))
    marks = Bundle(bundle).marks
    assert marks is not None and marks.shippable
    assert marks.figures["delta_4_keys"].value == 8.0
    assert verdict(marks) == "shippable"
    console = Console(file=io.StringIO(), width=100)
    console.print(figures({"coinrun": marks, "other": marks.model_copy(update={"figures": {}})}))
    assert re.search(r"delta_4_keys\W+8\W+–", console.file.getvalue())  # type: ignore[attr-defined]
    genie.load_world(bundle)  # still a whole world
    put_marks(bundle, marks_of(report(weights="f" * 64), judge(found, 0.8)))
    assert Bundle(bundle).marks is None


def test_marks_of_an_older_measure_are_said_to_be_such(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = report(weights=Bundle(bundle).manifest.weights_digest)
    monkeypatch.setattr("genie.world.installed_worlds", lambda: {"mine": bundle})
    marks = marks_of(found, judge(found, 0.8))
    for shown, older in ((marks, False), (marks.model_copy(update={"evaluation": marks.evaluation - 1}), True)):
        put_marks(bundle, shown)
        listed = CliRunner().invoke(app, ["worlds"], env={"COLUMNS": "300"}).output
        assert ("measured in another way" in listed) == older


def test_marks_that_were_edited_are_refused(bundle: Path) -> None:
    found = report(weights=Bundle(bundle).manifest.weights_digest)
    put_marks(bundle, marks_of(found, judge(found, 0.99)))
    assert Bundle(bundle).marks.shippable is False  # type: ignore[union-attr]
    path = bundle / MARKS
    path.write_text(path.read_text().replace('"shippable": false', '"shippable": true'))
    with pytest.raises(genie.WorldFormatError, match=r"bytes instead of|sha256 is not"):
        _ = Bundle(bundle).marks


def test_a_bundle_from_before_there_were_marks_opens(bundle: Path) -> None:
    value = json.loads((bundle / MANIFEST).read_text())
    value.pop("least_recall", None)
    value["files"].pop(MARKS, None)
    (bundle / MANIFEST).write_text(json.dumps(value))
    opened = Bundle(bundle)
    assert opened.marks is None and opened.manifest.least_recall == 0.8


def test_the_card_tells_the_marks_once(bundle: Path) -> None:
    found = report(weights=Bundle(bundle).manifest.weights_digest)
    put_marks(bundle, marks_of(found, judge(found, 0.99)))
    assert "Not shippable:\n\n- action recall" in (bundle / CARD).read_text()
    put_marks(bundle, marks_of(found, judge(found, 0.8)))
    card = (bundle / CARD).read_text()
    assert card.count("## Marks") == 1 and "It may ship." in card and "Not shippable" not in card
    assert "| delta_4_keys | 8 (7 … 8) |" in card
    assert card.index("## Marks") < card.index("## Limits") < card.index("## Data: coinrun")


def test_every_shipped_world_carries_the_marks_of_its_own_weights() -> None:
    for name, path in installed_worlds().items():
        marks = Bundle(path).marks
        assert marks is not None, name
        assert marks.shippable or all(reason in (path / CARD).read_text() for reason in marks.reasons), name
    assert Bundle(installed_worlds()["coinrun"]).marks.shippable  # type: ignore[union-attr]
