"""What each part of a preset is worth: trains it whole and with one element taken out, and pairs the test users.

    python benchmarks/ablations.py --data prepared/ml-1m --preset deep --seeds 1 2 3
    python benchmarks/ablations.py --data prepared/ml-1m --preset deep --only gating ema -- --max_epochs 20

What comes after `--` are flags of `bert4rec train` for all runs. Runs that are complete are not repeated, unfinished
ones go on where they were. The test is asked, so nothing may be chosen by this table.

Legend: C cases (users), S seeds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
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
from bert4rec.tables import Table, to_plain
from elements import Element, elements_of
from records import ROOT, machine, results_file, write
from runs import settings_of, train

METRICS = ("ndcg@10", "hit@10")
PARTS = ("short histories", "rare items")
ON, OFF = "request_time_on", "request_time_off"
COST = ("best_epoch", "epochs", "seconds")
WHOLE = "preset"
"""What the runs of the preset itself are called."""


@dataclass(frozen=True)
class Run:
    """A trained model's cost and its answers, by row."""

    cost: Mapping[str, Any]
    rows: Mapping[str, Answers]

    def row(self, name: str) -> Answers:
        """As it answers when the time is known or not; a model that never reads the time has one way alone."""
        return self.rows.get(name, self.rows[OFF])


def main(words: Sequence[str] | None = None) -> None:
    """Trains, evaluates, prints both tables and writes the JSON file."""
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
        picture = (
            ROOT / "docs" / "pictures" / f"{record['name']}.png"
            if args.picture is True
            else args.picture
        )
        draw(record, picture)
        console().print(f"drawn: {picture}")


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """The arguments, and as `flags` what comes after `--`."""
    words = list(sys.argv[1:] if words is None else words)
    stop = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="A prepared folder.")
    parser.add_argument(
        "--preset", type=Path, required=True, help="A preset's name, or a YAML file of settings."
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[42], help="A run of each for every element."
    )
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="These elements alone; a wrong name lists them."
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/ablations"), help="Where the runs go."
    )
    parser.add_argument(
        "--output", type=Path, help="The JSON file; default: in benchmarks/results/."
    )
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
    """The record of all runs."""
    dataset, preset = PreparedDataset.open(args.data), settings_of(args.preset, args.flags)
    split = make_split(dataset, preset.split)
    chosen = choose(elements_of(preset, dataset), args.only)
    measured = [element for element in chosen if not element.missing]
    check(args.preset, args.flags, measured)
    found = run_all(args, measured, dataset, split)
    whole, parts = found[WHOLE], parts_of(dataset, split)
    return {
        "benchmark": "ablations",
        "name": f"ablations_{args.preset.stem}_{dataset.name}",
        "date": date.today().isoformat(),
        "machine": machine(),
        "config": args.preset.name,
        "flags": args.flags,
        "settings": preset.to_dict(),
        "seeds": args.seeds,
        "protocol": protocol(dataset, split, whole),
        "preset": {"figures": average(whole, parts), "seeds": by_seed(whole, parts)},
        "elements": [
            {
                "name": element.name,
                "row": element.row,
                "changes": dict(element.changes),
                "rows": differences(found[element.name], whole, parts),
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
    """The runs by element and seed, the preset's among them; one seed of all before the next."""
    folder = args.runs / f"{args.preset.stem}_{dataset.name}"
    flags_of = {WHOLE: [], **{element.name: element.flags for element in elements}}
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
    """The elements that were asked for, all where none were."""
    known = [element.name for element in elements]
    unknown = [name for name in only or [] if name not in known]
    if unknown:
        raise SystemExit(
            f"ablations: error: no element is called {unknown[0]!r}; there are {', '.join(known)}"
        )
    return [element for element in elements if only is None or element.name in only]


def check(config: Path, flags: Sequence[str], elements: Sequence[Element]) -> None:
    """Refuses settings that do not fit together before anything is trained."""
    for element in elements:
        scoring_passes(settings_of(config, [*flags, *element.flags]))


# What is made of them


def parts_of(dataset: PreparedDataset, split: Split) -> dict[str, Any]:
    """Which test users belong to each part of the table; a part without any is left out."""
    nobody = np.ones(len(split.test), dtype=np.int64)  # the parts do not depend on places
    parts = paired_parts(
        slices(dataset, split, split.test, nobody), bands(dataset, split, split.test)
    )
    return {
        "all users": nobody.astype(bool),
        **{part: parts[part] for part in PARTS if part in parts},
    }


def user_values(answers: Sequence[Answers]) -> dict[str, Floats]:
    """Each user's metrics and squared rating error, averaged over the seeds."""
    places = [rank_metrics(given.rank_C) for given in answers]
    return {
        **{metric: np.mean([metrics[metric] for metrics in places], axis=0) for metric in METRICS},
        "rating_rmse": np.mean([given.square_C for given in answers], axis=0),
    }


def figures(value_C: Mapping[str, Floats], mask_C: Any) -> dict[str, Any]:
    """The metrics of some users; no RMSE where nothing was rated."""
    found = {metric: float(value_C[metric][mask_C].mean()) for metric in METRICS}
    square_C = value_C["rating_rmse"][mask_C]
    rated_C = ~np.isnan(square_C)
    if rated_C.any():
        found["rating_rmse"] = float(np.sqrt(square_C[rated_C].mean()))
    return {"users": int(mask_C.sum()), **found}


def average(runs: Mapping[int, Run], parts: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of the mean over seeds, by row and part."""
    rows = next(iter(runs.values())).rows
    return {
        row: {
            part: figures(user_values([run.row(row) for run in runs.values()]), mask_C)
            for part, mask_C in parts.items()
        }
        for row in rows
    }


def by_seed(runs: Mapping[int, Run], parts: Mapping[str, Any]) -> dict[str, Any]:
    """The figures and the cost of each run."""
    return {
        str(seed): {**run.cost, "figures": average({seed: run}, parts)}
        for seed, run in runs.items()
    }


def differences(
    changed: Mapping[int, Run], whole: Mapping[int, Run], parts: Mapping[str, Any]
) -> dict[str, Any]:
    """The changed preset minus the whole one, by the rows of the whole one and by part, with intervals."""
    found: dict[str, Any] = {}
    for row in next(iter(whole.values())).rows:
        one, other = (
            user_values([run.row(row) for run in runs.values()]) for runs in (changed, whole)
        )
        found[row] = {part: paired(one, other, mask_C) for part, mask_C in parts.items()}
    return found


def paired(one: Mapping[str, Floats], other: Mapping[str, Floats], mask_C: Any) -> dict[str, Any]:
    """Each metric's mean difference over the users of a part, and its interval."""
    one, other = (
        {name: column_C[mask_C] for name, column_C in side.items()} for side in (one, other)
    )
    found = difference_estimates(one, other)
    return {
        "users": int(mask_C.sum()),
        **to_plain(found),
    }


def protocol(dataset: PreparedDataset, split: Split, whole: Mapping[int, Run]) -> dict[str, Any]:
    """Everything that the figures depend on besides the models."""
    knows = ON in next(iter(whole.values())).rows
    said = protocol_of(dataset, split, "test", knows, 0)
    return {
        **said,
        "intervals": f"{LEVEL:.0%} paired bootstrap over users, {RESAMPLES} resamples, seed 0",
    }


if __name__ == "__main__":
    main()
