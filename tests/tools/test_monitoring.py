"""Alerts and dashboard name what is there, alert when they should, and are explained."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.gateway import metrics as gateway
from streams.ops import metrics as ops_metrics
from streams.runtime import metric_list

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "docs" / "operations" / "monitoring"
METRICS = {**metric_list.COUNTED, **metric_list.SCRAPED, **ops_metrics.GAUGES, **ops_metrics.COUNTERS}
METRICS |= {**gateway.COUNTERS, **gateway.HISTOGRAMS, **gateway.GAUGES}
NAMES = frozenset(METRICS)
# Labels that Prometheus gives to whatever it scrapes.
SCRAPE_LABELS = frozenset({"instance", "job"})


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def named(text: str) -> set[str]:
    """The metrics of the segmenter in a query, as their list calls them."""
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in re.findall(r"segmenter_[a-z_]+", text)}


def panels() -> list[dict[str, Any]]:
    dashboard = json.loads((MONITORING / "grafana" / "dashboards" / "segmenter.json").read_text())
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries() -> list[str]:
    """The queries of all alerts and panels."""
    return [rule["expr"] for rule in alerts()] + [target["expr"] for panel in panels() for target in panel["targets"]]


def labels_of(query: str) -> set[str]:
    """The labels that the metrics of a query have."""
    labels = set(SCRAPE_LABELS).union(*(METRICS[name].labels for name in named(query)))
    return labels | {"le"} if "_bucket" in query else labels


def grouped_by(query: str) -> set[str]:
    """The labels by which a query groups."""
    return {label for group in re.findall(r"\bby \(([^)]*)\)", query) for label in re.split(r",\s*", group)}


def test_nothing_is_asked_for_that_nobody_tells() -> None:
    """Each metric of an alert or a panel is one of the lists; and each of the lists is on the dashboard."""
    alerted = set[str]().union(*(named(rule["expr"]) for rule in alerts()))
    shown = set[str]().union(*(named(target["expr"]) for panel in panels() for target in panel["targets"]))
    assert (alerted | shown) - NAMES == set()
    assert NAMES - shown - {"segmenter_clock_timestamp_seconds", "segmenter_claim_seconds"} == set()


@pytest.mark.parametrize("query", queries())
def test_a_query_asks_for_labels_that_are_there(query: str) -> None:
    """A label that no metric has selects nothing, and groups everything into one: Prometheus takes both silently."""
    selected = {label for braces in re.findall(r"{([^}]*)}", query) for label in re.findall(r"(\w+)\s*[=!]", braces)}
    assert (grouped_by(query) | selected) - labels_of(query) == set()


@pytest.mark.parametrize("query", queries())
def test_a_query_asks_as_the_kind_of_a_metric_allows(query: str) -> None:
    """A counter or histogram begins again with its process, so it is asked for its growth; a gauge never is."""
    for function, name in re.findall(r"(\w*)\(?\b(segmenter_[a-z_]+)", query):
        kind = METRICS[next(iter(named(name)))].kind
        assert (function in ("rate", "increase")) is (kind != "gauge"), name
        assert name.endswith(("_bucket", "_count", "_sum")) is (kind == "histogram"), name


@pytest.mark.parametrize("rule", alerts(), ids=[rule["alert"] for rule in alerts()])
def test_an_alert_names_what_it_is_about(rule: dict[str, Any]) -> None:
    """A label that the query does not leave would be an empty place in the sentence."""
    shown = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
    assert shown <= (grouped_by(rule["expr"]) or labels_of(rule["expr"]))


def test_each_alert_has_its_paragraph() -> None:
    """Each alert has a paragraph in the runbooks under its name; none is explained that is not there."""
    runbooks = (ROOT / "docs" / "operations" / "runbooks.md").read_text()
    names = [rule["alert"] for rule in alerts()]
    assert re.findall(r"^## (.*)$", runbooks, re.MULTILINE) == names
    for rule in alerts():
        assert rule["annotations"]["runbook_url"] == f"docs/operations/runbooks.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_each_alert_is_tried() -> None:
    """The file of rule tests has a case for each alert."""
    cases = (MONITORING / "alerts_test.yml").read_text()
    assert [rule["alert"] for rule in alerts() if rule["alert"] not in cases] == []


@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml"), ("test", "rules", "alerts_long_test.yml")],
    ids=" ".join,
)
def test_prometheus_takes_the_rules(arguments: tuple[str, ...]) -> None:
    """The rules pass and fail in promtool as the cases say."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool (on Debian: apt-get install prometheus)")
    ran = subprocess.run(
        [promtool, *arguments], cwd=MONITORING, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
