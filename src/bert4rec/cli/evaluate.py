"""Evaluates a model, or several as one, over the whole catalogue, beside baselines.

The time of the request is known and unknown in turn. A model of the split cold-start-users is asked after so many events too,
one of cold-start-items for cold and warm items apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.flags import add_data, add_folders, add_json, at_least_one
from bert4rec.cli.model_flags import open_models
from bert4rec.cli.output import bar, console, notes, show_json, show_table
from bert4rec.errors import DataError, UsageError

if TYPE_CHECKING:
    from bert4rec.artefact import Artefact
    from bert4rec.data.dataset import PreparedDataset
    from bert4rec.data.splits import Cases, Split, Subset
    from bert4rec.evaluation.report import Report
    from bert4rec.retrieval.scorers import Scorer
    from bert4rec.studies.cold_start_items import ColdStartItems
    from bert4rec.studies.cold_start_users import ColdStartUsers
    from bert4rec.studies.diversity import DiversityCurve
    from bert4rec.studies.faithfulness import Explained, Faithfulness

LISTS = ("hit@10", "ndcg@10", "mrr", "coverage@10")
RATINGS = ("rating_rmse", "rating_mae", "rating_ece", "rating_ece_chance")
INTERVALS = ("rating_coverage", "rating_coverage_promised", "rating_interval_levels")

EXPLAINED_USERS = 500

REPORT_FILE = "report.md"
"""The table for people, which makes a folder of reports known as one."""


def add_flags(parser: ArgumentParser) -> None:
    """The flags of `evaluate`."""
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
        help=f"Measure how faithful explanations are, on so many users (none named: {EXPLAINED_USERS}).",
    )
    parser.add_argument(
        "--diversity", action="store_true", help="Measure what the diversity dial of lists costs."
    )
    parser.add_argument(
        "--output", type=Path, help="A folder for the reports (JSON, Markdown) and the pictures."
    )
    parser.add_argument("--batch_size", type=int, default=64, help="Users scored at once.")
    add_json(parser)


def run(args: Namespace) -> None:
    """Evaluates and reports."""
    from bert4rec.artefact import scorer_of
    from bert4rec.evaluation.evaluate import evaluate_rows
    from bert4rec.evaluation.rating_baselines import rating_baselines

    batch_size = at_least_one(args, "batch_size")
    if args.explanations < 0:
        raise UsageError(f"explanations is {args.explanations}: it is a number of users")
    if args.output:
        args.output.mkdir(
            parents=True, exist_ok=True
        )  # better to fail before the work than after it
    say = notes(to_stderr=args.json)
    models = open_models(args.model, args.data, args.data_dir, say)
    scorer = scorer_of(models)
    dataset, split = data_of(models[0])
    rows = evaluate_rows(scorer, dataset, split, args.subset, batch_size)
    baselines = (
        baseline_reports(dataset, split, args.subset, batch_size, say) if args.baselines else []
    )
    ratings = rating_baselines(dataset, split, split.cases(args.subset)) if args.baselines else {}
    explained = explanations(scorer, dataset, split, args) if args.explanations else None
    curve = diversity(scorer, dataset, split, args) if args.diversity else None
    few = (
        shown_few(scorer, dataset, split, args, say)
        if models[0].run.split.split == "cold-start-users"
        else None
    )
    cold = (
        for_new_items(scorer, dataset, split, args, say)
        if models[0].run.split.split == "cold-start-items"
        else None
    )
    found = {
        "explanations": explained,
        "diversity": curve,
        "cold_start_users": few,
        "cold_start_items": cold,
    }
    if args.output:
        write_reports(args.output, rows, baselines, explained, curve, few, cold)
    if args.json:
        first = next(iter(rows.values())).to_dict()
        show_json(
            {
                **{key: first[key] for key in ("metrics", "intervals", "protocol", "slices")},
                "rows": {name: row.to_dict() for name, row in rows.items()},
                "baselines": {report.name: report.to_dict() for report in baselines},
                "rating_baselines": ratings,
                **{name: more.to_dict() for name, more in found.items() if more is not None},
            }
        )
        return
    _show(rows, baselines, ratings)
    if explained is not None:
        _show_explanations(explained)
    if curve is not None:
        _show_dial(curve)
    if few is not None:
        _show_shots(few)
    if cold is not None:
        _show_cold(cold)
    if args.output:
        print(f"reports and pictures: {args.output}")


def data_of(model: Artefact) -> tuple[PreparedDataset, Split]:
    """The data that a model is evaluated on, once it is certain that it was trained on the same."""
    from bert4rec.data.splits import make_split

    dataset, trained_on = model.dataset, model.training_data
    if dataset.checksum != trained_on["checksum"]:
        raise DataError(
            f"{dataset.folder or dataset.name}: has checksum {dataset.checksum}, but {model.source} was trained on "
            f"{trained_on['checksum']} ({trained_on['name']}); name the data it was trained on"
        )
    split = make_split(dataset, model.run.split)
    if split.checksum != model.split["checksum"]:
        raise DataError(
            f"{model.source}: was trained on another split ({model.split['checksum']}, not {split.checksum})"
        )
    return dataset, split


def baseline_reports(
    dataset: PreparedDataset,
    split: Split,
    subset: Subset,
    batch_size: int,
    say: Any,
) -> list[Report]:
    """The reports of the baselines, best first."""
    from bert4rec.evaluation.baselines import fit_baselines
    from bert4rec.evaluation.evaluate import evaluate

    say("fitting baselines")
    reports = [
        evaluate(scorer, dataset, split, subset=subset, batch_size=batch_size)
        for scorer in fit_baselines(dataset, split)
    ]
    return sorted(reports, key=lambda report: -report.metrics["ndcg@10"])


def explanations(
    scorer: Explained, dataset: PreparedDataset, split: Split, args: Namespace
) -> Faithfulness:
    """How faithful explanations are, with a bar on a terminal: each takes some hundred scores."""
    from bert4rec.studies.faithfulness import faithfulness

    def progress(users: Iterator[int], total: int) -> Iterator[int]:
        return bar(users, "explaining", total)

    return faithfulness(
        scorer, dataset, split, users=args.explanations, subset=args.subset, progress=progress
    )


def diversity(
    scorer: Scorer, dataset: PreparedDataset, split: Split, args: Namespace
) -> DiversityCurve:
    """What the lists are like at each setting of the diversity dial."""
    from bert4rec.studies.diversity import diversity_curve

    def progress(pieces: Iterator[Cases], total: int) -> Iterator[Cases]:
        return bar(pieces, "diversifying", total)

    return diversity_curve(
        scorer, dataset, split, subset=args.subset, batch_size=args.batch_size, progress=progress
    )


def shown_few(
    scorer: Scorer, dataset: PreparedDataset, split: Split, args: Namespace, say: Any
) -> ColdStartUsers:
    """How cold_users are answered after no event, one, three …, beside what counting reaches."""
    from bert4rec.studies.cold_start_users import cold_start_users

    def progress(steps: Iterator[int], total: int) -> Iterator[int]:
        return bar(steps, "showing few events", total)

    say("asking with few events shown")
    return cold_start_users(
        scorer, dataset, split, subset=args.subset, batch_size=args.batch_size, progress=progress
    )


def for_new_items(
    scorer: Scorer, dataset: PreparedDataset, split: Split, args: Namespace, say: Any
) -> ColdStartItems:
    """How items that never trained are ranked, and what that costs the others, beside likeness and chance."""
    from bert4rec.studies.cold_start_items import cold_start_items

    def progress(pieces: Iterator[Cases], total: int) -> Iterator[Cases]:
        return bar(pieces, "asking for cold and warm items", total)

    say("asking for cold and warm items apart")
    return cold_start_items(
        scorer, dataset, split, subset=args.subset, batch_size=args.batch_size, progress=progress
    )


def write_reports(
    folder: Path,
    rows: dict[str, Report],
    baselines: list[Report],
    explained: Faithfulness | None = None,
    curve: DiversityCurve | None = None,
    few: ColdStartUsers | None = None,
    cold: ColdStartItems | None = None,
) -> None:
    """In an existing folder: a JSON file for each report (`compare` reads them), one table, and the pictures."""
    from bert4rec.evaluation.plots import plot_comparison, plot_reliability
    from bert4rec.evaluation.report import save_report, to_markdown
    from bert4rec.files import write_atomically
    from bert4rec.studies.plots import plot_cold_start_users, plot_diversity, plot_faithfulness

    for name, row in rows.items():
        save_report(row, folder / f"model_{name}.json")
    for report in baselines:
        save_report(report, folder / f"{report.name.replace(' ', '_')}.json")
    first, *others = rows.values()
    tables = [to_markdown([first, *baselines]), *(to_markdown([row]) for row in others)]
    tables += [more.to_markdown() for more in (few, cold) if more is not None]
    write_atomically(folder / REPORT_FILE, ("\n\n".join(tables) + "\n").encode())
    plot_comparison([first, *baselines], folder / "comparison.png")
    if first.reliability:
        plot_reliability(first, folder / "reliability.png")
    if explained is not None:
        write_atomically(
            folder / "explanations.json", json.dumps(explained.to_dict(), indent=1).encode()
        )
        plot_faithfulness(explained, folder / "explanations.png")
    if curve is not None:
        write_atomically(folder / "diversity.json", json.dumps(curve.to_dict(), indent=1).encode())
        plot_diversity(curve, folder / "diversity.png")
    if few is not None:
        write_atomically(
            folder / "cold_start_users.json", json.dumps(few.to_dict(), indent=1).encode()
        )
        plot_cold_start_users(few, folder / "cold_start_users.png")
    if cold is not None:
        write_atomically(
            folder / "cold_start_items.json", json.dumps(cold.to_dict(), indent=1).encode()
        )


def _show(
    rows: dict[str, Report], baselines: list[Report], ratings: dict[str, dict[str, float]]
) -> None:
    from bert4rec.evaluation.report import protocol_line

    own = [(f"{row.name}, {name.replace('_', ' ')}", row) for name, row in rows.items()]
    show_metrics("ranking", LISTS, [*own, *((report.name, report) for report in baselines)])
    if any(metric in report.metrics for metric in RATINGS for _, report in own):
        print()
        show_metrics("rating of the item that came", RATINGS, own, ratings)
        print()
        show_metrics("interval of that rating", INTERVALS, own)
    protocol = dict(own[0][1].protocol)
    if len(own) > 1:
        protocol["request_time"] = "as the rows say"
    console().print(f"\n±: half of the 95 % interval. {protocol_line(protocol)}", style="dim")


def _show_explanations(explained: Faithfulness) -> None:
    from bert4rec.studies.faithfulness import KS, MEASURES, OURS

    told = {
        **explained.values,
        **{f"{OURS} − {name}": found for name, found in explained.minus.items()},
    }
    for measure, meaning in MEASURES.items():
        columns = [*(f"{measure}@{k}" for k in KS), measure]
        print()
        show_table(
            f"{measure}: {meaning}",
            ["events", *columns[:-1], "mean"],
            [
                [name, *(_margin(*found[column], digits=3) for column in columns)]
                for name, found in told.items()
            ],
        )
    known = "known" if explained.request_time else "unknown"
    console().print(
        f"\n{explained.users} users, request time {known}; likelihood with all events: {explained.likelihood:.3f}. "
        f"Rank correlation of the effects with those under shuffled weights: {_margin(*explained.shuffled, digits=3)}. "
        f"An explanation takes {explained.passes:.1f} forward passes of as many histories.",
        style="dim",
    )


def _show_dial(curve: DiversityCurve) -> None:
    from bert4rec.studies.diversity import ACCURACY, VARIETY

    names = [
        name
        for name in (*ACCURACY, *VARIETY)
        if all(name in found for found in curve.values.values())
    ]
    print()
    show_table(
        "the diversity dial",
        ["diversity", *names, "coverage@10"],
        [
            [
                f"{setting:g}",
                *(_margin(*found[name]) for name in names),
                f"{curve.coverage[setting]:.4f}",
            ]
            for setting, found in curve.values.items()
        ],
    )


def _show_shots(few: ColdStartUsers) -> None:
    from bert4rec.evaluation.report import COMPARED
    from bert4rec.studies.cold_start_users import SHOTS

    pairs = {f"{pair.first} − {pair.second}": pair.values for pair in few.differences}
    for metric in COMPARED:
        for title, told in (
            (f"{metric} after k events", few.values),
            (f"difference of {metric}", pairs),
        ):
            lines = [
                [name, *(_margin(*by_k[k][metric], digits=3) if k in by_k else "–" for k in SHOTS)]
                for name, by_k in told.items()
            ]
            print()
            show_table(title, ["k", *map(str, SHOTS)], lines)
    console().print(f"\n{few.protocol_line()}", style="dim")


def _show_cold(cold: ColdStartItems) -> None:
    from bert4rec.evaluation.report import COMPARED
    from bert4rec.studies.cold_start_items import COLUMNS, COST

    for metric in COMPARED:
        cells = cold.cells(metric, lambda value, edges: _margin(value, edges, digits=3))
        print()
        show_table("", [metric, *COLUMNS, COST], [[name, *row] for name, row in cells.items()])
    console().print(f"\n{cold.protocol_line()}", style="dim")


def show_metrics(
    title: str,
    metrics: Sequence[str],
    reports: Sequence[tuple[str, Report]],
    others: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
) -> None:
    """A line for each report, and below for others that are numbers alone."""
    lines = [
        [name, *(_with_margin(report, metric) for metric in metrics)] for name, report in reports
    ]
    lines += [
        [name, *(f"{found[metric]:.4f}" if metric in found else "–" for metric in metrics)]
        for name, found in others.items()
    ]
    show_table("", [title, *metrics], lines)


def _with_margin(report: Report, metric: str) -> str:
    """`0.3250 ±0.0118`: one line where the interval itself would take two."""
    if metric not in report.metrics:
        return "–"
    if metric not in report.intervals:
        return f"{report.metrics[metric]:.4f}"
    return _margin(report.metrics[metric], report.intervals[metric])


def _margin(value: float, interval: tuple[float, float], digits: int = 4) -> str:
    return f"{value:.{digits}f} ±{(interval[1] - interval[0]) / 2:.{digits}f}"
