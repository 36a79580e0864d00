"""Evaluation pages agree with the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bert4rec.config import SplitConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import make_split
from bert4rec.evaluation.baselines import Popularity
from bert4rec.evaluation.evaluate import evaluate

DOCS = Path(__file__).parents[3] / "docs"


def test_example_of_the_evaluation_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (DOCS / "evaluation.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    exec(compile(example, "docs/evaluation.md", "exec"), {})
    assert "| sequential rules | " in capsys.readouterr().out


def test_every_metric_of_a_report_is_on_the_metrics_page(world: PreparedDataset) -> None:
    page = (DOCS / "evaluation" / "metrics.md").read_text(encoding="utf-8")
    split = make_split(world, SplitConfig())
    for metric in evaluate(Popularity(world, split), world, split).metrics:
        name, _, k = metric.partition("@")
        assert re.search(rf"`{name}@.*`@{k}`|`{name}@{k}`|`{name}`", page), metric
