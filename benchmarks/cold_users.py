"""The k-shot curve over all folds of `cold-users`: every user is answered by the model that never saw them.

    python benchmarks/cold_users.py --models runs/cold-0 runs/cold-1 … runs/cold-4 --output reports/cold

prints the tables of the pooled users and writes them (`shots.json`, `shots.md`, `shots.png`).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bert4rec import artefact
from bert4rec.cli.evaluate import data_of
from bert4rec.data.prepared import PreparedDataset
from bert4rec.evaluation.plots import plot_shots
from bert4rec.evaluation.shots import Shots, pooled, shots


def curve_of(folder: Path, data: PreparedDataset | None) -> Shots:
    """The curve of one fold's test users."""
    model = artefact.load(folder, data)
    return shots(model.scorer(), *data_of(model))


def main() -> None:
    """Evaluates each model on its fold, and pools."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="A model folder for each fold.")
    parser.add_argument("--data", type=Path, help="The prepared folder, for models that were published without.")
    parser.add_argument("--output", type=Path, required=True, help="The folder for the tables and the picture.")
    args = parser.parse_args()
    data = PreparedDataset.open(args.data) if args.data else None
    curve = pooled([curve_of(folder, data) for folder in args.models])
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "shots.json").write_text(json.dumps(curve.to_dict(), indent=1))
    (args.output / "shots.md").write_text(curve.to_markdown() + "\n")
    plot_shots(curve, args.output / "shots.png")
    print(curve.to_markdown())


if __name__ == "__main__":
    main()
