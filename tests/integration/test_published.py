"""A published model folder holds nothing of its data, and answers as its source does once the data is named."""

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
"""The same catalogue, and every user's first rating a second later."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a release, what was prepared from it, a model and what was published of it."""
    place = tmp_path_factory.mktemp("published")
    zipped(place / "raw" / "ml-1m.zip")
    (place / "note.txt").write_text("All of it is invented.\n")
    run(
        "prepare", "--dataset", "ml-1m", "--data_dir", place / "raw", "--output", place / "prepared"
    ).succeeded()
    run("train", "--data", place / "prepared", "--output", place / "model", *settings()).succeeded()
    run(
        "publish",
        "--model",
        place / "model",
        "--output",
        place / "open",
        "--note",
        place / "note.txt",
    ).succeeded()
    return place


def test_nothing_of_the_data_is_in_it(place: Path) -> None:
    published = place / "open"
    assert {path.name for path in published.iterdir()} == {
        *("config.json", "model.safetensors", "metrics.json", "training.json", "README.md")
    }
    everything = b"".join(path.read_bytes() for path in published.iterdir())
    assert b"Film" not in everything
    assert b"table_O" not in everything
    assert b"Film" in (place / "model" / "metadata.json").read_bytes()


def test_its_card_says_what_there_is_to_know_of_the_data(place: Path) -> None:
    card = (place / "open" / "README.md").read_text()
    assert card.startswith("# open\n")
    assert "## Data\n\nAll of it is invented.\n" in card
    assert "RecommendationEngine.load(folder, data=prepared)" in card


def test_where_the_models_lay_that_it_learned_from_is_not_in_it(place: Path) -> None:
    source = place / "model"
    read = ("--warm_start_from", source, "--teacher", source)
    run(
        "train", "--data", place / "prepared", "--output", place / "student", *settings(), *read
    ).succeeded()
    run("publish", "--model", place / "student", "--output", place / "taught").succeeded()
    told = json.loads((place / "taught" / "config.json").read_text())["settings"]
    assert (told["warm_start_from"], told["teacher"]) == ("model", ["model"])
    assert str(place) not in "".join(
        path.read_text() for path in (place / "taught").iterdir() if path.suffix != ".safetensors"
    )


@pytest.mark.parametrize("flags", [("--data_dir", "raw"), ("--data", "prepared")])
def test_it_reproduces_the_figures_of_its_source(place: Path, flags: tuple[str, str]) -> None:
    source = json.loads(run("evaluate", "--model", place / "model", "--json").succeeded())
    found = json.loads(
        run("evaluate", "--model", place / "open", flags[0], place / flags[1], "--json").out
    )
    names = [report.pop("name") for each in (source, found) for report in each["rows"].values()]
    assert names == ["model", "model", "open", "open"]
    assert found == source
    stored = json.loads((place / "open" / "metrics.json").read_text())
    assert stored["test_request_time_on"]["metrics"] == found["metrics"]


def test_half_takes_half_the_space_and_tells_what_it_reaches(place: Path) -> None:
    """Of a published model too, whose data is named."""
    for source, flags in (("model", ()), ("open", ("--data", place / "prepared"))):
        made = place / f"half of {source}"
        run("publish", "--half", "--model", place / source, "--output", made, *flags).succeeded()
        sizes = [
            (place / folder / "model.safetensors").stat().st_size for folder in ("open", made.name)
        ]
        assert sizes[1] < 0.55 * sizes[0]
        found = json.loads(
            run("evaluate", "--model", made, "--data", place / "prepared", "--json").succeeded()
        )
        whole, told = (
            json.loads((folder / "metrics.json").read_text()) for folder in (place / "model", made)
        )
        assert told.keys() == whole.keys()
        assert told["test_request_time_on"]["metrics"] == found["metrics"]
        rmse = [of["test_request_time_on"]["metrics"]["rating_rmse"] for of in (told, whole)]
        assert rmse[0] == pytest.approx(rmse[1], abs=0.01)


def test_it_recommends_as_its_source_does(place: Path) -> None:
    dataset = PreparedDataset.open(place / "prepared")
    flags = (
        "--model",
        place / "open",
        "--data_dir",
        place / "raw",
        "--user_id",
        115,
        "--k",
        5,
        "--json",
    )
    found = [
        *(
            RecommendationEngine.load(place / folder, data=data)
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


def test_doctor_finds_it_whole_until_a_file_is_damaged(place: Path, tmp_path: Path) -> None:
    said = run("doctor", "--model", place / "open", "--json").succeeded()
    assert json.loads(said)["model"].startswith(
        "whole, published without its data: trained on ml-1m ("
    )
    damaged = Path(shutil.copytree(place / "open", tmp_path / "damaged"))
    (damaged / "model.safetensors").write_bytes((damaged / "model.safetensors").read_bytes()[:-1])
    assert "model.safetensors truncated or of another model" in run(
        "doctor", "--model", damaged
    ).refused(1)


def test_without_its_data_it_says_what_to_name(place: Path) -> None:
    for command in (["evaluate"], ["recommend", "--user_id", "115"]):
        said = run(*command, "--model", place / "open").refused(1)
        assert said.startswith(
            f"{place / 'open'}: was published without its data; name a prepared folder of ml-1m"
        )


def test_data_of_another_catalogue_is_refused(place: Path, world_folder: Path) -> None:
    said = run("evaluate", "--model", place / "open", "--data", world_folder).refused(1)
    assert "has other users, items or features" in said
    with pytest.raises(ArtefactError, match="has other users, items or features"):
        RecommendationEngine.load(place / "model", data=PreparedDataset.open(world_folder))


def test_other_events_of_its_catalogue_are_answered_but_not_evaluated(
    place: Path, tmp_path: Path
) -> None:
    zipped(tmp_path / "ml-1m.zip", LATER)
    flags = ("--model", place / "open", "--data_dir", tmp_path)
    assert "has checksum" in run("evaluate", *flags, "--json").err.splitlines()[-1]
    assert run("recommend", *flags, "--user_id", "115", "--json").code == 0
    refused = run("publish", *flags, "--output", tmp_path / "again")
    assert (refused.code, "has checksum" in refused.err.splitlines()[-1]) == (1, True)
    assert not (tmp_path / "again").exists()


def test_one_of_the_two_ways_to_name_data_is_enough(place: Path) -> None:
    said = run(
        "evaluate",
        "--model",
        place / "open",
        "--data",
        place / "prepared",
        "--data_dir",
        place / "raw",
    )
    assert "name one of them" in said.refused(2)


def test_data_dir_is_for_releases(model: Path, tmp_path: Path) -> None:
    assert "no MovieLens release" in run(
        "evaluate", "--model", model, "--data_dir", tmp_path
    ).refused(2)


def test_what_was_published_is_replaced_only_when_asked(place: Path) -> None:
    words = ("publish", "--model", place / "model", "--output", place / "open")
    assert "--overwrite" in run(*words).refused(2)
    run(*words, "--overwrite", "--note", place / "note.txt").succeeded()


def test_a_whole_model_is_not_replaced_by_what_is_published(place: Path) -> None:
    said = run(
        "publish", "--model", place / "model", "--output", place / "model", "--overwrite"
    ).refused(2)
    assert (
        said
        == f"{place / 'model'}: holds something that was not published; choose another --output"
    )
    run("evaluate", "--model", place / "model", "--json").succeeded()


def test_a_model_file_holds_its_data_and_takes_no_other(place: Path) -> None:
    words = (
        "--model_path",
        place / "m.pt",
        "--metadata_path",
        place / "m.json",
        "--data",
        place / "prepared",
    )
    assert (
        run("recommend", *words, "--user_id", "115")
        .refused(2)
        .startswith("--data and --data_dir go with --model;")
    )
