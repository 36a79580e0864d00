"""Draw the pictures of result pages from records: `python docs/draw_results.py docs/pictures`.

`bert4rec evaluate --output` draws the same pictures for a model.
"""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bert4rec.result_tables import Estimate
from bert4rec.studies.cold_start_users import ColdStartUsers
from bert4rec.studies.diversity import DiversityCurve
from bert4rec.studies.faithfulness import Faithfulness
from bert4rec.studies.plots import plot_cold_start_users, plot_diversity, plot_faithfulness

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def main(folder: Path) -> None:
    """Write every picture."""
    draw_ablations = runpy.run_path(str(ROOT / "benchmarks" / "ablation_table.py"))["draw"]
    draw_ablations(_read("ablations_small_ml-1m-2026-11-27"), folder / "ablations_small_ml-1m.png")
    plot_cold_start_users(_few_shot_curve(), folder / "cold_start_users_ml-1m.png")
    plot_diversity(_diversity_curve(), folder / "diversity_ml-1m.png")
    plot_faithfulness(_faithfulness(), folder / "explanations_ml-1m.png")


def _few_shot_curve() -> ColdStartUsers:
    curve = _read("cold_start_bias_ml-1m-2026-11-27")["curve"]
    values = {
        name: {entry["k"]: _estimates(entry, ("k",)) for entry in by_events}
        for name, by_events in curve["rows"].items()
    }
    folds = curve["protocol"]["split"].count("fold")
    protocol = {**curve["protocol"], "split": f"cold-start-users, {folds} folds"}
    return ColdStartUsers(protocol, values, differences=[], rank_C={})


def _diversity_curve() -> DiversityCurve:
    curve = _read("diversity_ml-1m-2026-11")["diversity"]
    values = {
        float(entry["diversity"]): _estimates(entry, ("diversity",)) for entry in curve["settings"]
    }
    return DiversityCurve(curve["users"], curve["request_time"], values)


def _faithfulness() -> Faithfulness:
    found = _read("explanations_deep_ml-1m-2026-11")["explanations"]
    return Faithfulness(
        users=found["users"],
        request_time=found["request_time"],
        likelihood=found["likelihood"],
        values={name: _estimates(entry) for name, entry in found["explainers"].items()},
        differences={},
        shuffled=Estimate.from_dict(found["shuffled_weights"]),
        passes=found["forward_passes"],
    )


def _estimates(entry: Mapping[str, Any], without: Iterable[str] = ()) -> dict[str, Estimate]:
    """Estimate of every metric of one row."""
    names = [name for name in entry if name not in without]
    return {name: Estimate.from_dict(entry[name]) for name in names}


def _read(name: str) -> dict[str, Any]:
    return dict(json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
