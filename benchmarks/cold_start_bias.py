"""Recommendations for users without events, with and without cold-start biases.

    python benchmarks/cold_start_bias.py --models runs/cold-0 … --output reports/cold_start_bias

Takes models of the split `cold-start-users`, fits the biases of each again, prints the table and
writes `cold_start_bias.json`. One given event is among ten recommendations mostly by chance, so the
targets are a user's 10th to 30th event, and a user counts with the mean over them.
`--subset test` evaluates the test users, on which nothing may be chosen.

Legend: B users of one batch, C users, U user rows, V item rows, X target events of one user.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bert4rec.artefact import Artefact
from bert4rec.cli.model_flags import data_of
from bert4rec.data.arrays import Floats
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.data.splits import Cases, Subset
from bert4rec.evaluation.baselines import Popularity, PopularityByGroup
from bert4rec.evaluation.comparison import COMPARED
from bert4rec.evaluation.intervals import difference_estimates, mean_estimates
from bert4rec.evaluation.metrics import rank_metrics
from bert4rec.result_tables import Estimate, to_plain
from bert4rec.retrieval.candidates import candidate_scores
from bert4rec.retrieval.ranking import rank_of
from bert4rec.retrieval.scorers import Scorer
from bert4rec.studies.cold_start_users import without_demographics
from bert4rec.training.cold_start_bias import fit_cold_start_bias
from folds import folds_parser, read_models

BATCH_SIZE = 64
FIRST, LAST = 10, 30
"""Target events of a user, counted from 1."""
Values = dict[str, Floats]
"""Metrics of each user, by name."""
Condition = Callable[[Histories], Histories]
"""Histories with some facts of the users or of the request removed."""


def main() -> None:
    """Evaluate each model, pool the users, print and write."""
    parser = folds_parser(__doc__)
    parser.add_argument("--subset", choices=("validation", "test"), default="validation")
    args = parser.parse_args()
    models, output = read_models(args)
    value_C = pooled([evaluate_fold(model, args.subset) for model in models])
    group = next(row for row in value_C if row.startswith("popularity by"))
    rows = {}
    for row, values in value_C.items():
        minus_group = to_plain(difference_estimates(values, value_C[group]))
        rows[row] = {**to_plain(mean_estimates(values)), "minus group": minus_group}
    content = {
        "subset": args.subset,
        "events": [FIRST, LAST],
        "folds": [model.split["name"] for model in models],
        "users": len(next(iter(value_C[group].values()))),
        "rows": rows,
    }
    (output / "cold_start_bias.json").write_text(json.dumps(content, indent=1))
    for row, found in rows.items():
        print(f"{row:40s} {'   '.join(_cell(found, metric) for metric in COMPARED)}")


def pooled(folds: Sequence[Mapping[str, Values]]) -> dict[str, Values]:
    """Values of all folds' users, one fold after another."""
    rows = {}
    for row in folds[0]:
        values = [fold[row] for fold in folds]
        rows[row] = {name: concatenated(values, name) for name in COMPARED}
    return rows


def concatenated(values: Sequence[Values], name: str) -> Floats:
    """Values of one metric, one fold after another."""
    return np.concatenate([fold[name] for fold in values])


def evaluate_fold(model: Artefact, subset: Subset) -> dict[str, Values]:
    """Metrics of each user, by row: baselines, and the model without and with its biases."""
    dataset, split = data_of(model)
    cases = split.cases(subset).with_last_events(0)
    scorer, conditions = model.scorer(), conditions_of(dataset)
    baselines: list[Scorer] = [Popularity(dataset, split), PopularityByGroup(dataset, split)]
    rows = {}
    for baseline in baselines:
        rows[baseline.name] = evaluate(baseline, dataset, cases, conditions["all features"])
    scorer.network.cold_start_bias.reset()
    for name, condition in conditions.items():
        row = f"without cold-start biases, {name}"
        rows[row] = evaluate(scorer, dataset, cases, condition)
    fit_cold_start_bias(scorer, dataset, split)
    for name, condition in conditions.items():
        rows[f"with cold-start biases, {name}"] = evaluate(scorer, dataset, cases, condition)
    return rows


def conditions_of(dataset: PreparedDataset) -> dict[str, Condition]:
    """Conditions by name: all facts, each feature alone, no demographics, no request time."""
    return {
        "all features": lambda histories: histories,
        "no demographics": without_demographics,
        **{f"{name} only": partial(only, name) for name in dataset.user_features},
        "request time unknown": Histories.without_request_time,
        "no demographics, request time unknown": lambda histories: without_demographics(
            histories.without_request_time()
        ),
    }


def only(feature: str, histories: Histories) -> Histories:
    """Histories with one user feature and no other."""
    return replace(histories, user_features={feature: histories.user_features[feature]})


def evaluate(
    scorer: Scorer, dataset: PreparedDataset, cases: Cases, condition: Condition
) -> Values:
    """Metrics of each user `[C]`, the mean over the user's target events."""
    found: list[dict[str, float]] = []
    for batch in cases.batches(BATCH_SIZE):
        histories = condition(batch.histories(dataset, request_time=True))
        score_BV = candidate_scores(scorer, histories, seen=None)
        for user, score_V in zip(batch.user_C.tolist(), score_BV, strict=True):
            item_X = target_items(dataset, user)
            rank_X = rank_of(score_V.expand(len(item_X), -1), item_X)
            metrics = rank_metrics(rank_X.numpy())
            found.append({name: float(metrics[name].mean()) for name in COMPARED})
    return {name: np.array([values[name] for values in found]) for name in COMPARED}


def target_items(dataset: PreparedDataset, user: int) -> Tensor:
    """Items of a user's target events, from the 10th to the 30th."""
    start, stop = (int(dataset.start_U1[row]) for row in (user, user + 1))
    item_X = dataset.item_N[start + FIRST - 1 : min(start + LAST, stop)]
    return torch.from_numpy(item_X.astype(np.int64))


def _cell(found: Mapping[str, Any], metric: str) -> str:
    change = Estimate.from_dict(found["minus group"][metric])
    return f"{metric} {found[metric]['value']:.4f} ({change:+.4f})"


if __name__ == "__main__":
    main()
