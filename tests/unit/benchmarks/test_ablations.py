"""Training and pairing of the ablations; their findings are not asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import Split
from bert4rec.model.scorer import scoring_passes
from bert4rec.presets import preset_names, preset_text
from bert4rec.training import train as fit
from small_runs import RUN
from small_worlds import dataset_of, leave_one_out

ROOT = Path(__file__).parents[3]
PRESETS = [Path(name) for name in preset_names()]


@pytest.fixture(scope="module", autouse=True)
def benchmarks(benchmark_script: Callable[[str], ModuleType]) -> SimpleNamespace:
    """The scripts that ablations are made of."""
    names = ("ablations", "ablation_table", "answers", "elements", "runs", "variants")
    return SimpleNamespace(**{name: benchmark_script(name) for name in names})


# What is taken out


def elements(benchmarks: SimpleNamespace, config: Path, dataset: PreparedDataset) -> dict[str, Any]:
    found = benchmarks.elements.elements_of(benchmarks.runs.settings_of(config), dataset)
    return {element.name: element for element in found}


@pytest.mark.parametrize("config", PRESETS, ids=lambda path: path.stem)
def test_every_element_changes_exactly_the_settings_that_it_names(
    benchmarks: SimpleNamespace, config: Path, world: PreparedDataset
) -> None:
    before = benchmarks.elements.flat(benchmarks.runs.settings_of(config))
    found = [
        element for element in elements(benchmarks, config, world).values() if not element.missing
    ]
    assert len(found) >= 4
    for element in found:
        run = benchmarks.runs.settings_of(config, element.flags)
        after = benchmarks.elements.flat(run)
        changed = {name: after[name] for name in after if after[name] != before[name]}
        assert changed == element.changes, element.name
        assert scoring_passes(run), element.name


@pytest.mark.parametrize("config", PRESETS, ids=lambda path: path.stem)
def test_no_two_elements_of_a_preset_are_the_same_run_or_the_same_row(
    benchmarks: SimpleNamespace, config: Path, world: PreparedDataset
) -> None:
    found = [
        element for element in elements(benchmarks, config, world).values() if not element.missing
    ]
    assert len({json.dumps(element.changes, sort_keys=True) for element in found}) == len(found)
    assert len({element.row for element in found}) == len(found)


SMALL = {
    "item_metadata": {"item_features": False},
    "user_tokens": {"user_features": "none"},
    "cross_attention": {"user_features": "sum"},
    "temporal_embedding": {"temporal_embedding": True},
    "time_bias": {"relative_time": False},
    "request_time": {"request_time": "never"},
    "position": {"relative_position": False},
    "absolute_position": {"position": "sinusoidal"},
    "rating_input": {"rating_input": False},
    "item_prediction": {"task_weights.item_prediction": 1.0},
    "next_item": {"task_weights.next_item": 0.0, "task_weights.item_prediction": 1.0},
    "rating_prediction": {"task_weights.rating_prediction": 0.0},
    "user_preference": {"task_weights.user_preference": 0.0},
    "gating": {"block": "transformer"},
    "half_depth": {"num_layers": 1},
    "rating_factors": {"rating_factor_size": 0},
    "cosine_head": {"cosine_head": True},
    "id_dropout": {"id_dropout": 0.0},
    "user_dropout": {"user_dropout": 0.0},
    "ema": {"ema_decay": 0.999},
    "exclude_seen": {"exclude_seen": False},
}


def test_small_preset_has_the_expected_elements(
    benchmarks: SimpleNamespace, world: PreparedDataset
) -> None:
    found = elements(benchmarks, Path("small"), world)
    assert {
        name: dict(element.changes) for name, element in found.items() if not element.missing
    } == SMALL
    assert found["one_layer"].missing == "the same as half_depth"
    assert found["relative_position"].missing == "the same as position"
    for name, row in (
        ("item_prediction", "with masked items"),
        ("temporal_embedding", "with temporal embedding"),
        ("absolute_position", "with absolute position"),
        ("cosine_head", "cosine, not dot product"),
    ):
        assert found[name].row == row


def test_elements_missing_from_a_preset_say_so(
    benchmarks: SimpleNamespace, world: PreparedDataset
) -> None:
    found = elements(benchmarks, Path("bert4rec"), world)
    for name in (
        "item_metadata",
        "user_tokens",
        "cross_attention",
        "time_bias",
        "id_dropout",
        "user_dropout",
        "gating",
    ):
        assert found[name].missing == "the preset has none", name
    assert found["absolute_position"].missing == "the same as position"
    assert found["item_prediction"].row == "next items, not masked items"
    assert found["next_item"].row == "with next items"


def test_item_task_is_removed_where_another_recommends(
    benchmarks: SimpleNamespace, world: PreparedDataset
) -> None:
    found = elements(benchmarks, Path("documented"), world)
    assert found["item_prediction"].changes == {"task_weights.item_prediction": 0.0}
    assert found["next_item"].changes == {"task_weights.next_item": 0.0}
    assert (found["half_depth"].changes, found["one_layer"].changes) == (
        {"num_layers": 2},
        {"num_layers": 1},
    )


def test_averaged_weights_are_removed_from_a_preset_that_has_them(
    benchmarks: SimpleNamespace, world: PreparedDataset, tmp_path: Path
) -> None:
    averaged = tmp_path / "averaged.yaml"
    averaged.write_text(preset_text("small") + "ema_decay: 0.99\n")
    found = elements(benchmarks, averaged, world)["ema"]
    assert (found.row, found.changes) == ("without averaged weights", {"ema_decay": 0.0})


def test_elements_missing_from_the_data_say_so(benchmarks: SimpleNamespace) -> None:
    found = elements(benchmarks, Path("small"), dataset_of([0, 1, 2]))
    for name, what in (
        ("item_metadata", "item features"),
        ("id_dropout", "item features"),
        ("temporal_embedding", "times"),
        ("request_time", "times"),
        ("rating_input", "ratings"),
        ("rating_prediction", "ratings"),
    ):
        assert found[name].missing == f"the data has no {what}", name


def test_unknown_element_is_refused_with_the_known_ones(
    benchmarks: SimpleNamespace, world: PreparedDataset
) -> None:
    known = list(elements(benchmarks, Path("small"), world).values())
    assert [element.name for element in benchmarks.ablations.choose(known, ["ema", "gating"])] == [
        "gating",
        "ema",
    ]
    with pytest.raises(
        SystemExit, match=r"no element is called 'gates'; there are item_metadata, .*gating"
    ):
        benchmarks.ablations.choose(known, ["gates"])


# How it is paired


def run_of(
    benchmarks: SimpleNamespace, places: Sequence[int], squares: Sequence[float], **others: Any
) -> Any:
    given = benchmarks.ablations.Answers(np.array(places), np.array(squares, dtype=float))
    return benchmarks.ablations.Run({}, {"request_time_off": given, **others})


def test_users_are_paired_after_their_mean_over_seeds(benchmarks: SimpleNamespace) -> None:
    nothing = [np.nan] * 3
    changed = {
        seed: run_of(benchmarks, places, nothing)
        for seed, places in {1: [1, 50, 1], 2: [50, 50, 1]}.items()
    }
    whole = {
        seed: run_of(benchmarks, places, nothing)
        for seed, places in {1: [1, 1, 50], 2: [1, 1, 50]}.items()
    }
    parts = {"all users": np.ones(3, dtype=bool), "rare items": np.array([True, True, False])}
    found = benchmarks.ablations.differences(changed, whole, parts)["request_time_off"]
    assert found["all users"]["hit@10"]["value"] == pytest.approx((-0.5 - 1 + 1) / 3)
    assert found["rare items"]["hit@10"] == {"value": -0.75, "low": -1, "high": -0.5}
    assert found["rare items"]["users"] == 2
    assert "rating_rmse" not in found["all users"]


def test_both_sides_may_have_different_numbers_of_seeds(benchmarks: SimpleNamespace) -> None:
    parts = {"all users": np.ones(1, dtype=bool)}
    changed = {1: run_of(benchmarks, [1], [4.0]), 2: run_of(benchmarks, [50], [0.0])}
    found = benchmarks.ablations.differences(changed, {1: run_of(benchmarks, [50], [1.0])}, parts)
    assert found["request_time_off"]["all users"]["hit@10"]["value"] == 0.5
    assert found["request_time_off"]["all users"]["rating_rmse"]["value"] == pytest.approx(
        2**0.5 - 1
    )


def test_model_without_request_time_is_paired_with_both_rows(
    benchmarks: SimpleNamespace,
) -> None:
    knows = benchmarks.ablations.Answers(np.array([1]), np.array([np.nan]))
    whole = {1: run_of(benchmarks, [50], [np.nan], request_time_on=knows)}
    found = benchmarks.ablations.differences(
        {1: run_of(benchmarks, [50], [np.nan])}, whole, {"all users": np.ones(1, dtype=bool)}
    )
    assert found["request_time_on"]["all users"]["hit@10"]["value"] == -1
    assert found["request_time_off"]["all users"]["hit@10"]["value"] == 0


# The whole script


@pytest.fixture(scope="module")
def script(
    benchmarks: SimpleNamespace, world_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SimpleNamespace]:
    """Ablation of a tiny preset: one element that it has, and one that it lacks."""
    folder = tmp_path_factory.mktemp("ablations")
    trained: list[str] = []

    def train(data: Path, config: Path, output: Path, flags: Sequence[str]) -> Any:
        trained.append(output.name)
        run = benchmarks.runs.settings_of(config, flags)
        fit.train(PreparedDataset.open(data), run, output, resume=True, log=lambda line: None)
        return json.loads((output / "training.json").read_text())

    (folder / "tiny.yaml").write_text(yaml.safe_dump(RUN.to_dict()))
    words = [
        "--data",
        world_folder,
        "--preset",
        folder / "tiny.yaml",
        "--runs",
        folder / "runs",
        "--seeds",
        "3",
        "4",
    ]
    words += [
        "--only",
        "temporal_embedding",
        "gating",
        "--output",
        folder / "out.json",
        "--picture",
        folder / "p.png",
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmarks.ablations, "train", train)

        def again() -> dict[str, Any]:
            benchmarks.ablations.main([*map(str, words), "--", "--max_epochs", "1"])
            return dict(json.loads((folder / "out.json").read_text()))

        yield SimpleNamespace(record=again(), folder=folder, trained=trained, again=again)


def test_preset_and_each_element_are_trained_once_a_seed(script: SimpleNamespace) -> None:
    assert script.trained[:4] == [
        *("preset-seed3", "temporal_embedding-seed3"),
        *("preset-seed4", "temporal_embedding-seed4"),
    ]
    settings = json.loads(
        (script.folder / "runs/tiny_synthetic/temporal_embedding-seed4/config.json").read_text()
    )
    chosen = settings["settings"]
    assert (chosen["temporal_embedding"], chosen["seed"], chosen["max_epochs"]) == (False, 4, 1)


def test_record_holds_the_metrics_of_the_runs(
    script: SimpleNamespace, world: PreparedDataset
) -> None:
    record = script.record
    assert [element["name"] for element in record["elements"]] == ["temporal_embedding"]
    assert record["skipped"] == [{"name": "gating", "missing": "the preset has none"}]
    reached = json.loads(
        (script.folder / "runs/tiny_synthetic/preset-seed3/metrics.json").read_text()
    )
    for row in ("request_time_on", "request_time_off"):
        found = record["preset"]["seeds"]["3"]["figures"][row]["all users"]
        told = reached[f"test_{row}"]["metrics"]
        assert found["users"] == len(leave_one_out(world).test)
        for metric in ("ndcg@10", "hit@10", "rating_rmse"):
            assert found[metric] == pytest.approx(told[metric]["value"], rel=1e-6), (row, metric)
    mean = np.mean(
        [
            run["figures"]["request_time_on"]["all users"]["hit@10"]
            for run in record["preset"]["seeds"].values()
        ]
    )
    assert record["preset"]["figures"]["request_time_on"]["all users"]["hit@10"] == pytest.approx(
        mean
    )
    assert record["protocol"]["request_time"] is True
    assert (script.folder / "p.png").read_bytes().startswith(b"\x89PNG")


def test_answers_are_stored_until_the_weights_change(
    script: SimpleNamespace,
    benchmarks: SimpleNamespace,
    world: PreparedDataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def compute(folder: Path, dataset: PreparedDataset, split: Split, device: str) -> Any:
        raise AssertionError("computed again")

    monkeypatch.setattr(benchmarks.answers, "compute", compute)
    assert script.again()["elements"] == script.record["elements"]
    folder = script.folder / "runs/tiny_synthetic/preset-seed3"
    config = json.loads((folder / "config.json").read_text())
    config["files"]["model.safetensors"] = "0" * 64
    (folder / "other").mkdir()
    (folder / "other" / "config.json").write_text(json.dumps(config))
    with pytest.raises(AssertionError, match="computed again"):
        benchmarks.ablations.answers(folder / "other", world, leave_one_out(world))


# How it is shown


def record_of(*differences: tuple[str, float, float]) -> dict[str, Any]:
    """Record of elements with these NDCG differences and margins."""
    figures = {
        "request_time_off": {
            "all users": {"users": 9, "ndcg@10": 0.2, "hit@10": 0.3, "rating_rmse": 0.9}
        }
    }
    elements = []
    for row, value, half in differences:
        cell = {"value": value, "low": value - half, "high": value + half}
        rows = {"request_time_off": {"all users": {"users": 9, "ndcg@10": cell, "hit@10": cell}}}
        elements.append(
            {"name": row, "row": row, "rows": rows, "seeds": {"1": {"figures": figures}}}
        )
    protocol = dict.fromkeys(
        ("dataset", "dataset_checksum", "split", "split_checksum", "subset", "candidates"), "x"
    )
    return {
        "name": "ablations_x",
        "config": "x.yaml",
        "date": "2026-11-25",
        "flags": ["--max_epochs", "1"],
        "seeds": [1],
        "protocol": {
            **protocol,
            "users": 9,
            "filter": "x",
            "ties": "x",
            "request_time": True,
            "intervals": "x",
        },
        "preset": {"figures": figures, "seeds": {"1": {"figures": figures}}},
        "elements": elements,
        "skipped": [{"name": "gating", "missing": "the preset has none"}],
    }


def test_table_sorts_by_loss_and_marks_differences_that_exclude_zero(
    benchmarks: SimpleNamespace,
) -> None:
    record = record_of(("useless", 0.001, 0.002), ("needed", -0.01, 0.002))
    lines = benchmarks.ablation_table.to_markdown(record).splitlines()
    assert (
        lines[0] == "| | NDCG@10 | Hit@10 | rating RMSE |"
    )  # no part, no time and no second seed, so no such column
    assert lines[2] == "| **the preset** | 0.2000 | 0.3000 | 0.9000 |"
    assert lines[3].startswith("| needed | **-0.0100** [-0.0120, -0.0080] | ")
    assert lines[4] == "| useless | +0.0010 [-0.0010, +0.0030] | +0.0010 [-0.0010, +0.0030] | – |"
    assert "with --max_epochs 1" in lines[-1]
    assert "Left out: gating (the preset has none)." in lines[-1]
    assert benchmarks.ablation_table.cells(record)[1][1][1] == "-.0100 ±.0020"


def test_table_of_several_seeds_shows_their_spread(
    script: SimpleNamespace, benchmarks: SimpleNamespace
) -> None:
    lines = benchmarks.ablation_table.to_markdown(script.record).splitlines()
    assert lines[0].endswith("| NDCG@10, time unknown | NDCG@10, seed by seed |")
    assert len({line.count("|") for line in lines[:4]}) == 1
    runs = script.record["preset"]["seeds"], script.record["elements"][0]["seeds"]
    whole, changed = (
        [run["figures"]["request_time_on"]["all users"]["ndcg@10"] for run in side.values()]
        for side in runs
    )
    gains = sorted(one - other for one, other in zip(changed, whole, strict=True))
    assert lines[3].endswith(f"| {gains[0]:+.4f} … {gains[1]:+.4f} |")


def test_page_takes_the_table_of_every_record_between_its_markers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = module_from_spec(spec)
    spec.loader.exec_module(generate)
    monkeypatch.setattr(generate, "RESULTS", tmp_path)
    page = (ROOT / "docs" / "results" / "ablations.md").read_text(encoding="utf-8")
    assert generate.ablations_page() == page
    (tmp_path / "ablations_x-2026-11.json").write_text(
        json.dumps(record_of(("needed", -0.01, 0.002)))
    )
    before, after = generate.ablations_page().split("| needed |")
    assert before[: before.index("<!-- ablations -->")] == page[: page.index("<!-- ablations -->")]
    assert after[after.index("<!-- /ablations -->") :] == page[page.index("<!-- /ablations -->") :]
    assert "(2026-11-25: [record](../../benchmarks/results/ablations_x-2026-11.json))" in after


# Runs, shared with variants


def test_train_resumes_a_run_and_returns_its_figures(
    benchmarks: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    (tmp_path / "training.json").write_text('{"epochs": 3}')
    done = subprocess.CompletedProcess([], 0)
    monkeypatch.setattr(
        benchmarks.runs.subprocess, "run", lambda command, check: asked.append(command) or done
    )
    assert benchmarks.runs.train(Path("d"), Path("c"), tmp_path, ["--seed=1"]) == {"epochs": 3}
    train = [sys.executable, "-m", "bert4rec", "train", "--data=d", "--preset=c"]
    assert asked == [[*train, f"--output={tmp_path}", "--resume", "--seed=1"]]
    done.returncode = 2
    with pytest.raises(SystemExit, match="training stopped with exit code 2"):
        benchmarks.runs.train(Path("d"), Path("c"), tmp_path, [])


def test_variant_is_named_by_its_flags_and_reported_at_its_best_epoch(
    benchmarks: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = [{"validation": {"ndcg@10": value, "hit@10": value}} for value in (0.1, 0.3, 0.2)]
    asked: list[tuple[Path, Sequence[str]]] = []

    def train(data: Path, config: Path, output: Path, flags: Sequence[str]) -> dict[str, Any]:
        asked.append((output, flags))
        return {"history": history, "best_epoch": 2}

    monkeypatch.setattr(benchmarks.variants, "train", train)
    found = benchmarks.variants.train_variant(
        Path("d"), Path("small.yaml"), "--ema_decay 0.9", Path("runs")
    )
    assert found["ndcg@10"] == 0.3
    assert asked == [(Path("runs/small-ema-decay-0.9"), ["--ema_decay", "0.9"])]


def test_variants_are_compared_with_the_first_seed_by_seed(benchmarks: SimpleNamespace) -> None:
    runs = [
        {"flags": flags, "seed": seed, "ndcg@10": value, "hit@10": 2 * value, "seconds": 10.0}
        for flags, seed, value in [("", 1, 0.1), ("--a 1", 1, 0.3), ("", 2, 0.2), ("--a 1", 2, 0.1)]
    ]
    first, second = benchmarks.variants.summarise(runs)
    assert (first["flags"], first["differences"]) == ("", [0.0, 0.0])
    assert (second["ndcg@10"], second["hit@10"]) == pytest.approx((0.2, 0.4))
    assert second["differences"] == pytest.approx([0.2, -0.1])
