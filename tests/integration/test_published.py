"""Published model folders hold none of their data, and work once the data is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bert4rec.data.dataset import PreparedDataset
from bert4rec.engine.engine import RecommendationEngine
from bert4rec.errors import ArtefactError
from command_line import ML_1M, run, settings, zipped

LATER = {
    **ML_1M,
    "ml-1m/ratings.dat": ML_1M["ml-1m/ratings.dat"].replace("::978300000\n", "::978300001\n"),
}
"""`ML_1M` with every user's first rating a second later."""


@pytest.fixture(scope="module")
def work_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a release, its prepared folder, a model, and the published model."""
    folder = tmp_path_factory.mktemp("published")
    zipped(folder / "raw" / "ml-1m.zip")
    (folder / "note.txt").write_text("All of it is invented.\n")
    run(
        "prepare",
        "--dataset",
        "ml-1m",
        "--data_dir",
        folder / "raw",
        "--output",
        folder / "prepared",
    ).succeeded()
    run(
        "train", "--data", folder / "prepared", "--output", folder / "model", *settings()
    ).succeeded()
    run(
        "publish",
        "--model",
        folder / "model",
        "--output",
        folder / "open",
        "--note",
        folder / "note.txt",
    ).succeeded()
    return folder


def test_published_folder_holds_none_of_the_data(work_folder: Path) -> None:
    published = work_folder / "open"
    assert {path.name for path in published.iterdir()} == {
        *("config.json", "model.safetensors", "metrics.json", "training.json", "README.md")
    }
    everything = b"".join(path.read_bytes() for path in published.iterdir())
    assert b"Film" not in everything
    assert b"table_O" not in everything
    assert b"Film" in (work_folder / "model" / "metadata.json").read_bytes()


def test_card_carries_the_note_on_the_data(work_folder: Path) -> None:
    card = (work_folder / "open" / "README.md").read_text()
    assert card.startswith("# open\n")
    assert "## Data\n\nAll of it is invented.\n" in card
    assert "RecommendationEngine.load(folder, data=prepared)" in card


def test_published_settings_name_no_paths_of_teachers(work_folder: Path) -> None:
    source = work_folder / "model"
    read = ("--warm_start_from", source, "--teacher", source)
    run(
        "train",
        "--data",
        work_folder / "prepared",
        "--output",
        work_folder / "student",
        *settings(),
        *read,
    ).succeeded()
    run(
        "publish", "--model", work_folder / "student", "--output", work_folder / "taught"
    ).succeeded()
    told = json.loads((work_folder / "taught" / "config.json").read_text())["settings"]
    assert (told["warm_start_from"], told["teacher"]) == ("model", ["model"])
    assert str(work_folder) not in "".join(
        path.read_text()
        for path in (work_folder / "taught").iterdir()
        if path.suffix != ".safetensors"
    )


@pytest.mark.parametrize("flags", [("--data_dir", "raw"), ("--data", "prepared")])
def test_published_model_reproduces_the_metrics_of_its_source(
    work_folder: Path, flags: tuple[str, str]
) -> None:
    source = json.loads(run("evaluate", "--model", work_folder / "model", "--json").succeeded())
    found = json.loads(
        run(
            "evaluate", "--model", work_folder / "open", flags[0], work_folder / flags[1], "--json"
        ).out
    )
    names = [report.pop("name") for each in (source, found) for report in each["rows"].values()]
    assert names == ["model", "model", "open", "open"]
    assert found == source
    stored = json.loads((work_folder / "open" / "metrics.json").read_text())
    assert stored["test_request_time_on"]["metrics"] == found["metrics"]


def test_half_precision_halves_the_size_and_is_evaluated_again(work_folder: Path) -> None:
    """Publishes a complete model, and a published one whose data is named."""
    for source, flags in (("model", ()), ("open", ("--data", work_folder / "prepared"))):
        made = work_folder / f"half of {source}"
        run(
            "publish", "--half", "--model", work_folder / source, "--output", made, *flags
        ).succeeded()
        sizes = [
            (work_folder / folder / "model.safetensors").stat().st_size
            for folder in ("open", made.name)
        ]
        assert sizes[1] < 0.55 * sizes[0]
        found = json.loads(
            run(
                "evaluate", "--model", made, "--data", work_folder / "prepared", "--json"
            ).succeeded()
        )
        whole, told = (
            json.loads((folder / "metrics.json").read_text())
            for folder in (work_folder / "model", made)
        )
        assert told.keys() == whole.keys()
        assert told["test_request_time_on"]["metrics"] == found["metrics"]
        rmse = [
            of["test_request_time_on"]["metrics"]["rating_rmse"]["value"] for of in (told, whole)
        ]
        assert rmse[0] == pytest.approx(rmse[1], abs=0.01)


def test_published_model_recommends_as_its_source(work_folder: Path) -> None:
    dataset = PreparedDataset.open(work_folder / "prepared")
    flags = (
        "--model",
        work_folder / "open",
        "--data_dir",
        work_folder / "raw",
        "--user_id",
        115,
        "--k",
        5,
        "--json",
    )
    found = [
        *(
            RecommendationEngine.load(work_folder / folder, data=data)
            .get_recommendations(115, k=5)
            .to_dict()["items"]
            for folder, data in (("model", None), ("open", dataset))
        ),
        json.loads(run("recommend", *flags).out)["items"],
    ]
    scores = [[item.pop("score") for item in items] for items in found]
    ratings = [[item.pop("expected_rating") for item in items] for items in found]
    assert found[0] == found[1] == found[2]  # ids, titles, ranks
    np.testing.assert_allclose(scores, [scores[0]] * 3, rtol=1e-5)
    np.testing.assert_allclose(ratings, [ratings[0]] * 3, rtol=1e-5)


def test_doctor_confirms_a_published_model_until_a_file_is_damaged(
    work_folder: Path, tmp_path: Path
) -> None:
    said = run("doctor", "--model", work_folder / "open", "--json").succeeded()
    assert json.loads(said)["model"].startswith(
        "complete: published without its data, trained on ml-1m ("
    )
    damaged = Path(shutil.copytree(work_folder / "open", tmp_path / "damaged"))
    (damaged / "model.safetensors").write_bytes((damaged / "model.safetensors").read_bytes()[:-1])
    assert "model.safetensors truncated or of another model" in run(
        "doctor", "--model", damaged
    ).refused(1)


def test_published_model_without_data_says_what_to_name(work_folder: Path) -> None:
    for command in (["evaluate"], ["recommend", "--user_id", "115"]):
        said = run(*command, "--model", work_folder / "open").refused(1)
        without_data = f"{work_folder / 'open'}: was published without its data"
        assert said.startswith(f"{without_data}; name a prepared folder of ml-1m")


def test_data_of_another_catalogue_is_refused(work_folder: Path, world_folder: Path) -> None:
    said = run("evaluate", "--model", work_folder / "open", "--data", world_folder).refused(1)
    assert "has other users, items or features" in said
    with pytest.raises(ArtefactError, match="has other users, items or features"):
        RecommendationEngine.load(work_folder / "model", data=PreparedDataset.open(world_folder))


def test_other_events_of_the_catalogue_are_answered_but_not_evaluated(
    work_folder: Path, tmp_path: Path
) -> None:
    zipped(tmp_path / "ml-1m.zip", LATER)
    flags = ("--model", work_folder / "open", "--data_dir", tmp_path)
    assert "has checksum" in run("evaluate", *flags, "--json").err.splitlines()[-1]
    assert run("recommend", *flags, "--user_id", "115", "--json").code == 0
    refused = run("publish", *flags, "--output", tmp_path / "again")
    assert (refused.code, "has checksum" in refused.err.splitlines()[-1]) == (1, True)
    assert not (tmp_path / "again").exists()


def test_data_and_data_dir_exclude_each_other(work_folder: Path) -> None:
    said = run(
        "evaluate",
        "--model",
        work_folder / "open",
        "--data",
        work_folder / "prepared",
        "--data_dir",
        work_folder / "raw",
    )
    assert "name one of them" in said.refused(2)


def test_data_dir_needs_a_model_of_a_release(model: Path, tmp_path: Path) -> None:
    assert "no MovieLens release" in run(
        "evaluate", "--model", model, "--data_dir", tmp_path
    ).refused(2)


def test_published_folder_is_replaced_only_with_overwrite(work_folder: Path) -> None:
    words = ("publish", "--model", work_folder / "model", "--output", work_folder / "open")
    assert "--overwrite" in run(*words).refused(2)
    run(*words, "--overwrite", "--note", work_folder / "note.txt").succeeded()


def test_complete_model_is_never_replaced_by_a_published_one(work_folder: Path) -> None:
    said = run(
        "publish",
        "--model",
        work_folder / "model",
        "--output",
        work_folder / "model",
        "--overwrite",
    ).refused(2)
    not_published = "holds something that was not published; choose another --output"
    assert said == f"{work_folder / 'model'}: {not_published}"
    run("evaluate", "--model", work_folder / "model", "--json").succeeded()


def test_model_file_holds_its_data_and_takes_no_other(work_folder: Path) -> None:
    words = (
        "--model_path",
        work_folder / "m.pt",
        "--metadata_path",
        work_folder / "m.json",
        "--data",
        work_folder / "prepared",
    )
    assert (
        run("recommend", *words, "--user_id", "115")
        .refused(2)
        .startswith("--data and --data_dir go with --model;")
    )
