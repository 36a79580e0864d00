"""RecommendationTable for people of whom no event is known, with and without biases of cold_start_bias.

    python benchmarks/cold_start_bias.py --models runs/cold-0 … --output reports/cold_start_bias

takes models of `cold-start-users`, finds the biases of each again, prints the tables, and writes `cold_start_bias.json`. Whether a
user's 20th event is among ten is mostly chance, so everybody's 10th to 30th events are asked for: what a user counts
is the mean over them. `--subset test` asks those of the cold_users that test, which nothing may be chosen by.

Legend: C cases (users), V item rows, X events that are asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from bert4rec.artefact import Artefact
from bert4rec.cli.evaluate import data_of
from bert4rec.data.arrays import Floats
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.data.splits import Cases, Subset
from bert4rec.evaluation.baselines import Popularity, PopularityByGroup
from bert4rec.evaluation.comparison import COMPARED
from bert4rec.evaluation.intervals import difference_estimates, mean_estimates
from bert4rec.evaluation.metrics import rank_metrics
from bert4rec.retrieval.candidates import candidate_scores
from bert4rec.retrieval.ranking import rank_of
from bert4rec.retrieval.scorers import Scorer
from bert4rec.studies.cold_start_users import without_demographics
from bert4rec.tables import Estimate, to_plain
from bert4rec.training.cold_start_bias import fit_cold_start_bias
from folds import folds_parser, read_models

BATCH_SIZE = 64
FIRST, LAST = 10, 30
Telling = Callable[[Histories], Histories]


def main() -> None:
    """Asks each model, pools the users, prints and writes."""
    parser = folds_parser(__doc__)
    parser.add_argument("--subset", choices=("validation", "test"), default="validation")
    args = parser.parse_args()
    models, output = read_models(args)
    found = [of_fold(model, args.subset) for model in models]
    value_C = {
        row: {metric: np.concatenate([fold[row][metric] for fold in found]) for metric in COMPARED}
        for row in found[0]
    }
    group = next(row for row in value_C if row.startswith("popularity by"))
    rows = {
        row: {
            **said(mean_estimates(of)),
            "minus group": said(difference_estimates(of, value_C[group])),
        }
        for row, of in value_C.items()
    }
    folds = [model.split["name"] for model in models]
    users = len(next(iter(value_C[group].values())))
    content = {
        "subset": args.subset,
        "events": [FIRST, LAST],
        "folds": folds,
        "users": users,
        "rows": rows,
    }
    (output / "cold_start_bias.json").write_text(json.dumps(content, indent=1))
    for row, of in rows.items():
        cells = [
            f"{metric} {of[metric]['value']:.4f} ({_change(of['minus group'][metric])})"
            for metric in COMPARED
        ]
        print(f"{row:40s} {'   '.join(cells)}")


def of_fold(model: Artefact, subset: Subset) -> dict[str, dict[str, Floats]]:
    """Each user's metrics in each row."""
    dataset, split = data_of(model)
    asked = split.cases(subset).with_last_events(0)
    scorer, told = model.scorer(), tellings(dataset)
    counting: list[Scorer] = [Popularity(dataset, split), PopularityByGroup(dataset, split)]
    rows = {
        counted.name: ask(counted, dataset, asked, told["all features"]) for counted in counting
    }
    scorer.network.cold_start_bias.reset()
    rows |= {
        f"without cold-start biases, {what}": ask(scorer, dataset, asked, telling)
        for what, telling in told.items()
    }
    fit_cold_start_bias(scorer, dataset, split)
    rows |= {
        f"with cold-start biases, {what}": ask(scorer, dataset, asked, telling)
        for what, telling in told.items()
    }
    return rows


def tellings(dataset: PreparedDataset) -> dict[str, Telling]:
    """What cold_start_bias say of themselves, by its name."""
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
    """Those of cold_users who say one thing."""
    return replace(histories, user_features={feature: histories.user_features[feature]})


def ask(
    scorer: Scorer, dataset: PreparedDataset, cases: Cases, telling: Telling
) -> dict[str, Floats]:
    """Each user's metrics `[C]`, the mean over the events that are asked for."""
    start_U1 = np.asarray(dataset.start_U1)
    value_C: list[dict[str, float]] = []
    for piece in cases.batches(BATCH_SIZE):
        score_BV = candidate_scores(
            scorer, telling(piece.histories(dataset, request_time=True)), seen=None
        )
        for user, score_V in zip(piece.user_C.tolist(), score_BV, strict=True):
            item_X = dataset.item_N[
                start_U1[user] + FIRST - 1 : min(start_U1[user] + LAST, start_U1[user + 1])
            ]
            places = rank_of(
                score_V.expand(len(item_X), -1), torch.from_numpy(item_X.astype(np.int64))
            )
            metrics = rank_metrics(places.numpy())
            value_C.append({metric: float(metrics[metric].mean()) for metric in COMPARED})
    return {metric: np.array([value[metric] for value in value_C]) for metric in COMPARED}


def said(found: dict[str, Any]) -> dict[str, Any]:
    """Values and intervals for JSON."""
    return dict(to_plain(found))


def _change(found: dict[str, Any]) -> str:
    return f"{Estimate.from_dict(found):+.4f}"


if __name__ == "__main__":
    main()
