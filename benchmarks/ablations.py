"""Ablations of a preset: complete, and without one element at a time, paired on the test users.

    python benchmarks/ablations.py --data prepared/ml-1m --preset deep --seeds 1 2 3
    python benchmarks/ablations.py --data prepared/ml-1m --preset deep --only gating ema \\
        -- --max_epochs 20

Words after `--` are flags of `bert4rec train` for all runs. Complete runs are not repeated, and
unfinished ones are resumed. The table shows test users: base no choice on it.

Legend: C evaluation cases, one a test user.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ablation_table import cells, draw, made_by, to_markdown
from answers import Answers, answers
from bert4rec.cli.output import console, show_table
from bert4rec.data.arrays import Floats
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import Split, make_split
from bert4rec.errors import Bert4RecError
from bert4rec.evaluation.intervals import LEVEL, RESAMPLES, difference_estimates
from bert4rec.evaluation.metrics import rank_metrics
from bert4rec.evaluation.protocol import protocol_of
from bert4rec.evaluation.slices import bands, paired_parts, slices
from bert4rec.model.scorer import scoring_passes
from bert4rec.result_tables import Table, to_plain
from elements import Element, elements_of
from records import ROOT, add_output, head, make_parser, results_file, write
from runs import settings_of, train

METRICS = ("ndcg@10", "hit@10")
PARTS = ("short histories", "rare items")
ON, OFF = "request_time_on", "request_time_off"
COST = ("best_epoch", "epochs", "seconds")
COMPLETE = "preset"
"""Name of the runs of the preset itself."""


@dataclass(frozen=True)
class Run:
    """Cost and answers of a trained model, by row."""

    cost: Mapping[str, Any]
    rows: Mapping[str, Answers]

    def row(self, name: str) -> Answers:
        """Answers of one row; a model that never reads the request time has a single row."""
        return self.rows.get(name, self.rows[OFF])


def main(words: Sequence[str] | None = None) -> None:
    """Train, evaluate, print both tables and write the record."""
    args = parse(words)
    try:
        record = measure(args)
    except Bert4RecError as problem:
        raise SystemExit(f"ablations: error: {problem}") from problem
    for element in record["skipped"]:
        console().print(f"left out: {element['name']}, for {element['missing']}")
    show_table(Table(f"{record['config']}, test, differences to the preset", *cells(record)))
    console().print(f"±: half of the 95 % interval. {made_by(record)}\n", style="dim")
    print(to_markdown(record))
    write(record, args.output or results_file(record["name"]))
    if args.picture:
        default = ROOT / "docs" / "pictures" / f"{record['name']}.png"
        picture = default if args.picture is True else args.picture
        draw(record, picture)
        console().print(f"drawn: {picture}")


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Parsed flags; `flags` holds the words after `--`."""
    words = list(sys.argv[1:] if words is None else words)
    stop = words.index("--") if "--" in words else len(words)
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="A prepared folder.")
    parser.add_argument(
        "--preset", type=Path, required=True, help="A preset's name, or a YAML file of settings."
    )
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=[42],
        help="Seeds; each element is trained with every one.",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="NAME",
        help="Only these elements; a wrong name lists them all.",
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/ablations"), help="The folder of the runs."
    )
    add_output(parser)
    parser.add_argument(
        "--picture",
        type=Path,
        nargs="?",
        const=True,
        help="Draw a forest plot; default: in docs/pictures/.",
    )
    args = parser.parse_args(words[:stop])
    args.flags = words[stop + 1 :]
    return args


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Train all runs, and return their record."""
    dataset, preset = PreparedDataset.open(args.data), settings_of(args.preset, args.flags)
    split = make_split(dataset, preset.split)
    chosen = choose(elements_of(preset, dataset), args.only)
    measured = [element for element in chosen if not element.missing]
    check(args.preset, args.flags, measured)
    found = run_all(args, measured, dataset, split)
    complete, parts = found[COMPLETE], parts_of(dataset, split)
    return {
        **head("ablations"),
        "name": f"ablations_{args.preset.stem}_{dataset.name}",
        "config": args.preset.name,
        "flags": args.flags,
        "settings": preset.to_dict(),
        "seeds": args.seeds,
        "protocol": protocol(dataset, split, complete),
        "preset": {"figures": average(complete, parts), "seeds": by_seed(complete, parts)},
        "elements": [
            {
                "name": element.name,
                "row": element.row,
                "changes": dict(element.changes),
                "rows": differences(found[element.name], complete, parts),
                "seeds": by_seed(found[element.name], parts),
            }
            for element in measured
        ],
        "skipped": [
            {"name": element.name, "missing": element.missing}
            for element in chosen
            if element.missing
        ],
    }


def run_all(
    args: argparse.Namespace, elements: Sequence[Element], dataset: PreparedDataset, split: Split
) -> dict[str, dict[int, Run]]:
    """Runs by element and seed, the preset's among them; all runs of a seed before the next."""
    folder = args.runs / f"{args.preset.stem}_{dataset.name}"
    flags_of = {COMPLETE: [], **{element.name: element.flags for element in elements}}
    found: dict[str, dict[int, Run]] = {name: {} for name in flags_of}
    for seed in args.seeds:
        for name, flags in flags_of.items():
            output = folder / f"{name}-seed{seed}"
            figures = train(args.data, args.preset, output, [*args.flags, *flags, f"--seed={seed}"])
            found[name][seed] = Run(
                {key: figures[key] for key in COST}, answers(output, dataset, split)
            )
    return found


def choose(elements: Sequence[Element], only: Sequence[str] | None) -> list[Element]:
    """Elements named by `--only`, or all. Raises SystemExit at an unknown name."""
    known = [element.name for element in elements]
    unknown = [name for name in only or [] if name not in known]
    if unknown:
        raise SystemExit(
            f"ablations: error: no element is called {unknown[0]!r}; there are {', '.join(known)}"
        )
    return [element for element in elements if only is None or element.name in only]


def check(config: Path, flags: Sequence[str], elements: Sequence[Element]) -> None:
    """Check the settings of every element before anything is trained."""
    for element in elements:
        scoring_passes(settings_of(config, [*flags, *element.flags]))


# Figures of the runs


def parts_of(dataset: PreparedDataset, split: Split) -> dict[str, Any]:
    """Masks of the test users of each part of the table; empty parts are left out."""
    rank_C = np.ones(len(split.test), dtype=np.int64)  # the parts do not depend on ranks
    parts = paired_parts(
        slices(dataset, split, split.test, rank_C), bands(dataset, split, split.test)
    )
    return {
        "all users": rank_C.astype(bool),
        **{part: parts[part] for part in PARTS if part in parts},
    }


def user_values(answers: Sequence[Answers]) -> dict[str, Floats]:
    """Metrics and squared rating error of each user, averaged over the seeds."""
    by_seed = [rank_metrics(given.rank_C) for given in answers]
    values = {}
    for metric in METRICS:
        values[metric] = np.mean([metrics[metric] for metrics in by_seed], axis=0)
    values["rating_rmse"] = np.mean([given.square_C for given in answers], axis=0)
    return values


def figures(value_C: Mapping[str, Floats], mask_C: Any) -> dict[str, Any]:
    """Mean metrics of some users; no RMSE without ratings."""
    found = {metric: float(value_C[metric][mask_C].mean()) for metric in METRICS}
    square_C = value_C["rating_rmse"][mask_C]
    rated_C = ~np.isnan(square_C)
    if rated_C.any():
        found["rating_rmse"] = float(np.sqrt(square_C[rated_C].mean()))
    return {"users": int(mask_C.sum()), **found}


def average(runs: Mapping[int, Run], parts: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of the mean over seeds, by row and part."""
    found = {}
    for row in next(iter(runs.values())).rows:
        value_C = user_values([run.row(row) for run in runs.values()])
        found[row] = {part: figures(value_C, mask_C) for part, mask_C in parts.items()}
    return found


def by_seed(runs: Mapping[int, Run], parts: Mapping[str, Any]) -> dict[str, Any]:
    """Figures and cost of each run."""
    return {
        str(seed): {**run.cost, "figures": average({seed: run}, parts)}
        for seed, run in runs.items()
    }


def differences(
    changed: Mapping[int, Run], complete: Mapping[int, Run], parts: Mapping[str, Any]
) -> dict[str, Any]:
    """Changed preset minus the complete one, by row of the complete one and by part."""
    found: dict[str, Any] = {}
    for row in next(iter(complete.values())).rows:
        one = user_values([run.row(row) for run in changed.values()])
        other = user_values([run.row(row) for run in complete.values()])
        found[row] = {part: paired(one, other, mask_C) for part, mask_C in parts.items()}
    return found


def paired(one: Mapping[str, Floats], other: Mapping[str, Floats], mask_C: Any) -> dict[str, Any]:
    """Mean difference of each metric over the users of a part, and its interval."""
    found = difference_estimates(selected(one, mask_C), selected(other, mask_C))
    return {"users": int(mask_C.sum()), **to_plain(found)}


def selected(value_C: Mapping[str, Floats], mask_C: Any) -> dict[str, Floats]:
    """Values of the users of a part."""
    return {name: column_C[mask_C] for name, column_C in value_C.items()}


def protocol(dataset: PreparedDataset, split: Split, complete: Mapping[int, Run]) -> dict[str, Any]:
    """Data, split, candidates and intervals: what the figures depend on besides the models."""
    knows_time = ON in next(iter(complete.values())).rows
    return {
        **protocol_of(dataset, split, "test", knows_time, 0),
        "intervals": f"{LEVEL:.0%} paired bootstrap over users, {RESAMPLES} resamples, seed 0",
    }


if __name__ == "__main__":
    main()
