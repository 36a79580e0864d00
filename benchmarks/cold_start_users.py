"""Few-shot curve over all folds of `cold-start-users`: each user by the model that held them out.

    python benchmarks/cold_start_users.py --models runs/cold-0 runs/cold-1 … runs/cold-4 \\
        --output reports/cold

Prints the tables of the pooled users, and writes `cold_start_users.json`, `.md` and `.png`.
"""

from __future__ import annotations

import json

from bert4rec.cli.model_flags import data_of
from bert4rec.result_tables import to_markdown
from bert4rec.studies.cold_start_users import cold_start_users, pooled
from bert4rec.studies.plots import plot_cold_start_users
from folds import models_of_folds


def main() -> None:
    """Evaluate each model on its fold, pool the users, print and write."""
    models, output = models_of_folds(__doc__)
    curve = pooled([cold_start_users(model.scorer(), *data_of(model)) for model in models])
    (output / "cold_start_users.json").write_text(json.dumps(curve.to_dict(), indent=1))
    text = to_markdown(curve.tables())
    (output / "cold_start_users.md").write_text(text + "\n")
    plot_cold_start_users(curve, output / "cold_start_users.png")
    print(text)


if __name__ == "__main__":
    main()
