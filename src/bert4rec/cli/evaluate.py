"""Evaluates a model, or several as one, over the whole catalogue, beside baselines.

The request time is known and unknown in turn. A model of the split cold-start-users is evaluated
by the number of events given, one of cold-start-items on cold-start and warm items apart.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.evaluation_output import Evaluation, Study, show_evaluation, write_evaluation
from bert4rec.cli.flags import add_data, add_folders, add_json, at_least_one
from bert4rec.cli.model_flags import data_of, open_models
from bert4rec.cli.output import bar, notes, show_json
from bert4rec.errors import UsageError
from bert4rec.log import Log

if TYPE_CHECKING:
    from bert4rec.data.dataset import PreparedDataset
    from bert4rec.data.splits import Split
    from bert4rec.evaluation.report import Report
    from bert4rec.studies.faithfulness import ExplainableScorer

EXPLAINED_USERS = 500


def add_flags(parser: ArgumentParser) -> None:
    """Add the flags of `evaluate`."""
    add_folders(
        parser, "model", "The model folder; of several, the mean of their scores is evaluated."
    )
    add_data(parser)
    parser.add_argument(
        "--subset",
        type=Literal["test", "validation"],
        default="test",
        help="Held-out cases that are ranked.",
    )
    parser.add_argument(
        "--baselines", action="store_true", help="Fit and evaluate the baselines too."
    )
    parser.add_argument(
        "--explanations",
        type=int,
        nargs="?",
        const=EXPLAINED_USERS,
        default=0,
        help="Measure the faithfulness of explanations on so many users "
        f"(none named: {EXPLAINED_USERS}).",
    )
    parser.add_argument(
        "--diversity",
        action="store_true",
        help="Measure accuracy and diversity of MMR-re-ranked lists.",
    )
    parser.add_argument(
        "--output", type=Path, help="A folder for the reports (JSON, Markdown) and the pictures."
    )
    parser.add_argument("--batch_size", type=int, default=64, help="Users scored at once.")
    add_json(parser)


def run(args: Namespace) -> None:
    """Evaluate, print and write."""
    from bert4rec.artefact import scorer_of
    from bert4rec.evaluation.evaluate import evaluate_by_request_time

    batch_size = at_least_one(args, "batch_size")
    if args.explanations < 0:
        raise UsageError(f"explanations is {args.explanations}: it is a number of users")
    if args.output:
        # Better to fail before the work than after it.
        args.output.mkdir(parents=True, exist_ok=True)
    log = notes(to_stderr=args.json)
    models = open_models(args.model, args.data, args.data_dir, log)
    scorer = scorer_of(models)
    dataset, split = data_of(models[0])
    rows = evaluate_by_request_time(scorer, dataset, split, args.subset, batch_size)
    baselines = _baselines(dataset, split, args, log)
    rating_baselines = _rating_baselines(dataset, split, args)
    studies = _studies(scorer, dataset, split, args, models[0].config.split.split)
    evaluation = Evaluation(rows, baselines, rating_baselines, studies)
    if args.output:
        write_evaluation(evaluation, args.output)
    if args.json:
        show_json(evaluation.to_dict())
        return
    show_evaluation(evaluation)
    if args.output:
        notes()(f"reports and pictures: {args.output}")


def _baselines(dataset: PreparedDataset, split: Split, args: Namespace, log: Log) -> list[Report]:
    """Reports of the baselines, best first; none without `--baselines`."""
    from bert4rec.evaluation.baselines import fit_baselines
    from bert4rec.evaluation.evaluate import evaluate

    if not args.baselines:
        return []
    log("fitting baselines")
    reports = [
        evaluate(scorer, dataset, split, subset=args.subset, batch_size=args.batch_size)
        for scorer in fit_baselines(dataset, split)
    ]
    return sorted(reports, key=lambda report: -report.metrics["ndcg@10"].value)


def _rating_baselines(
    dataset: PreparedDataset, split: Split, args: Namespace
) -> dict[str, dict[str, float]]:
    """Errors of the rating baselines; none without `--baselines`."""
    from bert4rec.evaluation.rating_baselines import rating_baselines

    if not args.baselines:
        return {}
    return rating_baselines(dataset, split, split.cases(args.subset))


def _studies(
    scorer: ExplainableScorer,
    dataset: PreparedDataset,
    split: Split,
    args: Namespace,
    protocol: str,
) -> dict[str, Study]:
    """Studies that the flags name, and that of a cold-start split."""
    from bert4rec.studies.cold_start_items import cold_start_items
    from bert4rec.studies.cold_start_users import cold_start_users
    from bert4rec.studies.diversity import diversity_curve
    from bert4rec.studies.faithfulness import faithfulness

    studies: dict[str, Callable[..., Any]] = {}
    if args.explanations:
        studies["explanations"] = partial(faithfulness, users=args.explanations)
    if args.diversity:
        studies["diversity"] = partial(diversity_curve, batch_size=args.batch_size)
    if protocol == "cold-start-users":
        studies["cold_start_users"] = partial(cold_start_users, batch_size=args.batch_size)
    if protocol == "cold-start-items":
        studies["cold_start_items"] = partial(cold_start_items, batch_size=args.batch_size)
    results: dict[str, Study] = {}
    for name, study in studies.items():
        progress = partial(_progress, name.replace("_", " "))
        results[name] = study(scorer, dataset, split, subset=args.subset, progress=progress)
    return results


def _progress(label: str, steps: Any, total: int) -> Any:
    return bar(steps, label, total)
