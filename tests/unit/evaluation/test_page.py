"""The page docs/evaluation.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bert4rec.config import SplitConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import make_split
from bert4rec.evaluation.baselines import Popularity
from bert4rec.evaluation.evaluate import evaluate

PAGE = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text(encoding="utf-8")


def test_its_example_runs_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    exec(compile(example, "docs/evaluation.md", "exec"), {})
    assert "| sequential rules | " in capsys.readouterr().out


def test_every_metric_of_a_report_is_on_it(world: PreparedDataset) -> None:
    split = make_split(world, SplitConfig())
    for metric in evaluate(Popularity(world, split), world, split).metrics:
        name, _, k = metric.partition("@")
        assert re.search(rf"`{name}@.*`@{k}`|`{name}@{k}`|`{name}`", PAGE), metric
