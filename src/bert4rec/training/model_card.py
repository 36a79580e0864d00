"""Model card of a run in Markdown: data, results with their protocol, settings, cost and limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bert4rec.config import RunConfig
from bert4rec.evaluation.protocol import protocol_line
from bert4rec.result_tables import ABSENT, Estimate
from bert4rec.shown_text import shown, shown_in_markdown
from bert4rec.training.progress import megabytes

_SHOWN = ("hit@10", "ndcg@10", "mrr", "rating_rmse")


def model_card(
    name: str,
    config: RunConfig,
    data: Mapping[str, Any],
    metrics: Mapping[str, Any],
    training: Mapping[str, Any],
    note: str = "",
    with_data: bool = True,
    compared: str = "",
) -> str:
    """Text of a model folder's README.

    `metrics` are reports by row, `training` the figures of the run, `note` a text on the data,
    `compared` the sentence on the warm-start model. A folder without its data (`with_data=False`)
    is loaded with it.
    """
    call, flag = ("folder", "") if with_data else ("folder, data=prepared", " --data prepared")
    return "\n".join(
        [
            f"# {shown_in_markdown(name)}",
            "",
            f"A sequential recommender trained on {shown_in_markdown(str(data['name']))}: "
            f"{data['num_items']:,} items, "
            f"data checksum {data['checksum']}. Made with bert4rec; load it with "
            f"`RecommendationEngine.load({call})` or `bert4rec recommend --model folder{flag}`.",
            "",
            *_results(metrics),
            *([f"Compared with the warm-start model: {shown(compared)}.", ""] if compared else []),
            *(["## Data", "", note.strip(), ""] if note else []),
            "## Settings that differ from the defaults",
            "",
            *_settings(config),
            "",
            *_cost(training),
            "## Limits",
            "",
            "Scores rank items for one user. "
            "They are no probabilities and not comparable between users.",
            "The licence of the data holds for this folder too: "
            "MovieLens allows research use and no redistribution.",
            "",
        ]
    )


def _results(metrics: Mapping[str, Any]) -> list[str]:
    if not metrics:
        return []
    measured = set().union(*(report["metrics"] for report in metrics.values()))
    shown = [metric for metric in _SHOWN if metric in measured]
    lines = [
        "## Results",
        "",
        "| row | " + " | ".join(shown) + " |",
        "|---" * (len(shown) + 1) + "|",
    ]
    for row, report in metrics.items():
        lines.append(
            f"| {row.replace('_', ' ')} | "
            + " | ".join(_cell(report, metric) for metric in shown)
            + " |"
        )
    return [*lines, "", *(protocol_line(report["protocol"]) + "\n" for report in metrics.values())]


def _cell(report: Mapping[str, Any], metric: str) -> str:
    if metric not in report["metrics"]:
        return ABSENT
    return f"{Estimate.from_dict(report['metrics'][metric]):.4f}"


def _settings(config: RunConfig) -> list[str]:
    return [f"- {name}: {shown(str(value))}" for name, value in config.changes().items()] or [
        "none"
    ]


def _cost(training: Mapping[str, Any]) -> list[str]:
    if not training:
        return []
    return [
        "## Cost",
        "",
        f"{training['parameters']:,} parameters; "
        f"{training['epochs']} epochs in {training['seconds']:,.0f} s "
        f"(best after epoch {training['best_epoch']}, {training['seconds_to_best']:,.0f} s) "
        f"on {training['device']}, {training['events_per_second']:,.0f} events/s, "
        f"peak memory {megabytes(training['peak_memory_mb'])}.",
        "",
    ]
