"""`python trainer.py` and `python inference.py`, as they are documented, one after the other."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from bert4rec.cli.scripts import inference, trainer
from command_line import ROOT, Done, environment, finished, process, run, settings, zipped

TRAIN = "--batch_size 128 --learning_rate 5e-4 --max_epochs 50"
ASK = "--model_path checkpoints/best_model.pt --metadata_path metadata.json --user_id 123 --k 10"
SMALL = "--hidden_size 16 --num_layers 1 --num_heads 2 --seq_length 8 --accelerator cpu"

Steps = tuple[Path, Done, Done]


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Steps:
    """Folder in which both documented commands have run, and the output of each."""
    folder = tmp_path_factory.mktemp("documented")
    place = {
        "cwd": folder,
        "env": {
            **environment(),
            "BERT4REC_DATA": str(zipped(folder / "data" / "ml-1m.zip").parent),
        },
    }
    trained = finished(
        process(*shlex.split(f"{TRAIN} {SMALL}"), script=[str(ROOT / "trainer.py")], **place)
    )
    asked = finished(process(*shlex.split(ASK), script=[str(ROOT / "inference.py")], **place))
    return folder, trained, asked


def test_documented_training_writes_the_documented_files(steps: Steps) -> None:
    folder, trained, _ = steps
    assert (
        trained.succeeded().splitlines()[-1]
        == "model: checkpoints/best_model.pt, metadata: metadata.json"
    )
    assert {path.name for path in folder.iterdir()} == {
        "data",
        "prepared",
        "checkpoints",
        "metadata.json",
    }
    stored = json.loads((folder / "checkpoints" / "config.json").read_text())["settings"]
    assert (stored["batch_size"], stored["learning_rate"], stored["max_epochs"]) == (128, 5e-4, 50)


def test_documented_inference_prints_recommendations(steps: Steps) -> None:
    _, _, asked = steps
    title, columns, *rows = asked.succeeded().splitlines()
    assert title == "recommended to user 123"
    assert columns.split() == ["rank", "item_id", "title", "score", "rating", "80", "%", "within"]
    assert [int(row.split()[0]) for row in rows] == [
        1,
        2,
        3,
        4,
    ]  # 12 films, of which the user has rated 8


def asked(folder: Path, *words: str) -> dict[str, Any]:
    pair = [
        "--model_path",
        folder / "checkpoints" / "best_model.pt",
        "--metadata_path",
        folder / "metadata.json",
    ]
    found = json.loads(run(*pair, *words, "--json", entry=inference).succeeded())
    assert isinstance(found, dict)
    return found


def test_pair_of_files_recommends_as_the_folder(steps: Steps) -> None:
    folder = steps[0]
    by_folder = run(
        "recommend", "--model", folder / "checkpoints", "--user_id", "123", "--json"
    ).succeeded()
    assert asked(folder, "--user_id", "123") == json.loads(by_folder)


def test_inference_explains_and_profiles(steps: Steps) -> None:
    folder = steps[0]
    assert asked(folder, "--user_id", "123", "--item_id", "3")["item_id"] == 3
    first = asked(folder, "--user_id", "123", "--k", "1")["items"][0]["item_id"]
    assert asked(folder, "--user_id", "123", "--explain")["item_id"] == first
    profile = asked(folder, "--user_id", "123", "--profile")
    assert (profile["gender"], profile["age_group"], profile["occupation_code"]) == (
        "M",
        "25-34",
        7,
    )


def test_files_of_two_runs_are_refused_with_both_paths(steps: Steps, tmp_path: Path) -> None:
    model, other = steps[0] / "checkpoints" / "best_model.pt", tmp_path / "metadata.json"
    other.write_text((steps[0] / "metadata.json").read_text().replace("Film 3", "Film three"))
    said = run(
        "--model_path", model, "--metadata_path", other, "--user_id", "123", entry=inference
    ).refused(1)
    assert f"{model} and {other} do not belong together" in said


def test_trainer_takes_prepared_data_and_prints_the_paths_of_the_pair(
    world_folder: Path, tmp_path: Path
) -> None:
    words = [
        "--data",
        world_folder,
        "--output",
        tmp_path / "run",
        "--metadata_path",
        tmp_path / "names.json",
    ]
    last = run(*words, *settings(max_epochs=1), entry=trainer).succeeded().splitlines()[-1]
    assert (
        last == f"model: {tmp_path / 'run' / 'best_model.pt'}, metadata: {tmp_path / 'names.json'}"
    )
    assert (tmp_path / "names.json").is_file()


def test_trainer_says_where_data_is_missing(tmp_path: Path) -> None:
    said = run("--data_dir", tmp_path, "--output", tmp_path / "run", entry=trainer).refused(1)
    assert f"{tmp_path}: holds neither ml-1m.zip nor a folder ml-1m; place ml-1m.zip" in said
    assert not (tmp_path / "run").exists()
