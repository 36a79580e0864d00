"""The k-shot curve over all folds of `cold-users`: every user is answered by the model that never saw them.

    python benchmarks/cold_users.py --models runs/cold-0 runs/cold-1 … runs/cold-4 --output reports/cold

prints the tables of the pooled users and writes them (`shots.json`, `shots.md`, `shots.png`).
"""

from __future__ import annotations

import json

from bert4rec.cli.evaluate import data_of
from bert4rec.evaluation.plots import plot_shots
from bert4rec.evaluation.shots import pooled, shots
from folds import models_of_folds


def main() -> None:
    """Evaluates each model on its fold, and pools."""
    models, output = models_of_folds(__doc__)
    curve = pooled([shots(model.scorer(), *data_of(model)) for model in models])
    (output / "shots.json").write_text(json.dumps(curve.to_dict(), indent=1))
    (output / "shots.md").write_text(curve.to_markdown() + "\n")
    plot_shots(curve, output / "shots.png")
    print(curve.to_markdown())


if __name__ == "__main__":
    main()
