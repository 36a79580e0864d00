"""Unusable input is refused in one line that names it, and leaves no folder that looks complete."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from command_line import ML_1M, run, settings, zipped

HEADER = "u,i,r,t\n"
ROW = "1,5,3,5\n"
TIMES_AND_RATINGS = "time: t, rating: r"


def schema_of(
    folder: Path, events: str | bytes | None, declared: str = TIMES_AND_RATINGS, more: str = ""
) -> Path:
    """A table `e.csv` and the schema that declares it."""
    if events is not None:
        (folder / "e.csv").write_bytes(events if isinstance(events, bytes) else events.encode())
    schema = folder / "own.yaml"
    schema.write_text(f"events: {{file: e.csv, user: u, item: i, {declared}}}\n{more}")
    return schema


TABLES = {
    "missing": (None, {}, ["e.csv: no such file"]),
    "empty": ("", {}, ["e.csv: the file is empty"]),
    "a header alone": (HEADER, {}, ["e.csv: the table has no rows"]),
    "cut off in a row": (HEADER + ROW + "1,6", {}, ["e.csv, row 3", "(the row has 2 of 4 fields)"]),
    "too few fields": (
        HEADER + ROW + "1,6,4\n" + ROW,
        {},
        ["e.csv, row 3, field 't'", "(the row has 3 of 4 fields)"],
    ),
    "too many fields": (HEADER + ROW + "1,6,4,5,6\n", {}, ["e.csv, row 3: more than the 4 fields"]),
    "a rating of 11": (
        HEADER + ROW + "1,6,11,5\n",
        {"declared": "time: t, rating: r, scale: [1, 2, 3, 4, 5]"},
        ["e.csv, row 3, field 'r': '11' is not on the scale (1 to 5)", "--on_bad_rows drop"],
    ),
    "after the year 3000": (
        HEADER + ROW + "1,6,3,32503680001\n",
        {},
        ["e.csv, row 3, field 't'", "year 3000"],
    ),
    "a negative time": (
        HEADER + ROW + "1,6,3,-1\n",
        {},
        ["e.csv, row 3, field 't': '-1' is a time before 1970"],
    ),
    "not UTF-8": (
        HEADER.encode() + b"1,5,3,5\nZo\xeb,6,3,6\n",
        {},
        ["e.csv, row 3: not UTF-8", "'encoding'"],
    ),
    "a column that is not there": (
        HEADER + ROW,
        {"declared": "time: when, rating: r"},
        ["e.csv, field 'when': no such column; the file has u, i, r, t"],
    ),
    "a feature that is not there": (
        HEADER + ROW,
        {"more": "items: {file: e.csv, item: i, features: {genre: categorical}}\n"},
        ["e.csv, field 'genre': no such column"],
    ),
    "no times": ("u,i\n1,5\n", {"declared": "unused: []"}, ["e.csv", "--file_order"]),
}


@pytest.mark.parametrize(("events", "layout", "parts"), TABLES.values(), ids=TABLES)
def test_unusable_table_is_refused_with_its_fault(
    tmp_path: Path, events: str | bytes | None, layout: dict[str, str], parts: list[str]
) -> None:
    schema = schema_of(tmp_path, events, **layout)
    before = set(tmp_path.iterdir())
    message = run("prepare", "--schema", schema, "--output", tmp_path / "out").refused(1)
    assert all(part in message for part in parts), message
    assert set(tmp_path.iterdir()) == before


ARCHIVES = {
    "truncated": (lambda whole: whole[: len(whole) // 2], ["truncated or damaged"]),
    "a changed rating": (
        lambda whole: whole.replace(b"120::1::", b"120::2::", 1),
        ["Bad CRC-32", "ratings.dat"],
    ),
    "no archive at all": (lambda whole: b"<html>not found</html>", ["truncated or damaged"]),
    "empty": (lambda whole: b"", ["truncated or damaged"]),
}


@pytest.mark.parametrize(("damage", "parts"), ARCHIVES.values(), ids=ARCHIVES)
def test_damaged_archive_is_refused(tmp_path: Path, damage, parts: list[str]) -> None:
    whole = zipped(tmp_path / "whole" / "ml-1m.zip").read_bytes()
    archive = tmp_path / "data" / "ml-1m.zip"
    archive.parent.mkdir()
    archive.write_bytes(damage(whole))
    assert archive.read_bytes() != whole
    message = run(
        "prepare", "--dataset", "ml-1m", "--data_dir", archive.parent, "--output", tmp_path / "out"
    ).refused(1)
    assert message.startswith(str(archive))
    assert all(part in message for part in parts), message
    assert {path.name for path in tmp_path.iterdir()} == {"data", "whole"}


def test_truncated_release_file_names_the_row(tmp_path: Path) -> None:
    for name, text in ML_1M.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(
            text if "ratings" not in name else text[: text.index("978300300")]
        )
    message = run(
        "prepare", "--dataset", "ml-1m", "--data_dir", tmp_path, "--output", tmp_path / "out"
    ).refused(1)
    assert "ratings.dat, row 4, field 'time': missing" in message
    assert not (tmp_path / "out").exists()


def test_folder_without_the_release_says_what_to_put_there(tmp_path: Path) -> None:
    words = ["prepare", "--dataset", "ml-1m", "--output", tmp_path / "out", "--data_dir"]
    assert "place ml-1m.zip (from https://" in run(*words, tmp_path).refused(1)
    assert f"{tmp_path / 'gone'}: no such folder" in run(*words, tmp_path / "gone").refused(2)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("taken", ["a file", "a foreign folder"])
def test_foreign_output_folder_is_left_alone(tmp_path: Path, release: Path, taken: str) -> None:
    output = tmp_path / "taken"
    if taken == "a file":
        output.write_text("mine")
    else:
        output.mkdir()
        (output / "mine.txt").write_text("mine")
    words = ["prepare", "--dataset", "ml-1m", "--data_dir", release.parent, "--output", output]
    assert f"{output}: exists and is no prepared folder" in run(*words).refused(2)
    assert (output if taken == "a file" else output / "mine.txt").read_text() == "mine"


def test_prepared_folder_of_other_data_needs_overwrite(
    tmp_path: Path, copy, world_folder: Path, release: Path
) -> None:
    folder = copy(world_folder)
    words = ["prepare", "--dataset", "ml-1m", "--data_dir", release.parent, "--output", folder]
    assert "--overwrite prepares it again" in run(*words).refused(2)
    assert run("doctor", "--data", folder).code == 0
    assert "16 users" in run(*words, "--overwrite").succeeded()


def test_user_with_one_event_trains_and_is_not_evaluated(tmp_path: Path) -> None:
    rows = [f"{user},{user + place},3,{place}\n" for user in range(1, 7) for place in range(4)]
    prepared, folder = tmp_path / "prepared", tmp_path / "model"
    schema = schema_of(tmp_path, HEADER + "".join(rows) + "7,50,3,9\n")
    printed = run("prepare", "--schema", schema, "--output", prepared).succeeded()
    assert "1 users with a single event (they train, and are not evaluated)" in printed
    run("train", "--data", prepared, "--output", folder, *settings(max_epochs=1)).succeeded()
    found = json.loads(run("evaluate", "--model", folder, "--json").succeeded())
    assert (found["protocol"]["users"], found["protocol"]["items"]) == (6, 10)
    listed = json.loads(run("recommend", "--model", folder, "--user_id", "7", "--json").succeeded())
    assert len(listed["items"]) == 9


def test_training_is_refused_without_validation_users(tmp_path: Path) -> None:
    prepared = tmp_path / "prepared"
    run(
        "prepare",
        "--schema",
        schema_of(tmp_path, HEADER + "1,5,3,5\n2,6,3,5\n"),
        "--output",
        prepared,
    ).succeeded()
    message = run("train", "--data", prepared, "--output", tmp_path / "model", *settings()).refused(
        1
    )
    assert (
        message
        == "own: split 'leave-one-out' leaves no user to evaluate; it needs users with 3 events"
    )
    assert not (tmp_path / "model").exists()


def damaged_data(folder: Path, how: str) -> Path:
    manifest = folder / "manifest.json"
    content = json.loads(manifest.read_text())
    if how == "missing":
        shutil.rmtree(folder)
    elif how == "unfinished":
        manifest.unlink()
    elif how == "of another format":
        manifest.write_text(json.dumps({**content, "format_version": 99}))
    elif how == "with a truncated manifest":
        manifest.write_text(manifest.read_text()[:100])
    elif how == "with an empty manifest":
        manifest.write_text('{"format_version": 2}')
    elif how == "with a truncated array":
        (folder / "event_item.npy").write_bytes((folder / "event_item.npy").read_bytes()[:-4])
    elif how == "with a missing array":
        (folder / "event_time.npy").unlink()
    else:
        manifest.write_text(json.dumps({**content, "num_events": content["num_events"] + 1}))
    return folder


DATA = {
    "missing": "the prepared folder does not exist; make it with 'bert4rec prepare",
    "unfinished": "the prepared folder is not complete; make it with 'bert4rec prepare",
    "of another format": (
        "format version 99 of the prepared folder is not the one this version reads (2)"
    ),
    "with a truncated manifest": "manifest.json: cannot be read",
    "with an empty manifest": "manifest.json: is damaged",
    "with a truncated array": "event_item.npy: cannot be read",
    "with a missing array": "event_time.npy: cannot be read",
    "with arrays of other data": "its files do not belong together",
}


@pytest.mark.parametrize(("how", "message"), DATA.items(), ids=DATA)
def test_incomplete_prepared_folder_is_refused(
    tmp_path: Path, copy, world_folder: Path, model: Path, how: str, message: str
) -> None:
    folder = damaged_data(copy(world_folder), how)
    for words in (
        ["train", "--output", tmp_path / "out", *settings()],
        ["evaluate", "--model", model],
    ):
        line = run(*words, "--data", folder).refused(1)
        assert line.startswith(str(folder))
        assert message in line
    assert not (tmp_path / "out").exists()


def damaged_model(folder: Path, how: str, other: Path) -> Path:
    name, _, what = how.partition(" ")
    path = folder / name
    if what == "truncated":
        path.write_bytes(path.read_bytes()[:-10])
    elif what == "missing":
        path.unlink()
    elif what == "of another model":
        shutil.copy(other / name, path)
    else:
        path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 99}))
    return folder


PARTS = ["model.safetensors", "data.safetensors", "metadata.json", "metrics.json"]
MODELS = [
    *(f"{name} {what}" for name in PARTS for what in ("truncated", "missing")),
    *(
        f"{name} of another model"
        for name in ("model.safetensors", "data.safetensors", "metrics.json")
    ),
    "config.json truncated",
    "config.json missing",
    "config.json of a newer version",
]


@pytest.mark.parametrize("how", MODELS)
def test_incomplete_model_folder_is_refused(copy, model: Path, other_model: Path, how: str) -> None:
    folder = damaged_model(copy(model), how, other_model)
    for words in (["recommend", "--user_id", "1"], ["evaluate"]):
        line = run(*words, "--model", folder).refused(1)
        assert line.startswith(str(folder))
        assert how.partition(" ")[0] in line or how == "config.json missing"
        assert "again" in line or "update bert4rec" in line or "bert4rec train --output" in line


@pytest.mark.parametrize("command", ["recommend", "explain", "profile", "evaluate"])
def test_missing_model_says_how_to_train_one(tmp_path: Path, command: str) -> None:
    user = [] if command == "evaluate" else ["--user_id", "1"]
    message = run(command, *user, "--model", tmp_path / "gone").refused(1)
    gone = tmp_path / "gone"
    assert message == f"{gone}: does not exist; 'bert4rec train --output {gone}' makes one"


@pytest.mark.parametrize("user_id", ["9999", "-1", "somebody", "7.0"])
@pytest.mark.parametrize("command", ["recommend", "explain", "profile"])
def test_unknown_user_is_refused(model: Path, command: str, user_id: str) -> None:
    message = run(command, "--model", model, f"--user_id={user_id}", "--json").refused(1)
    assert message.startswith(
        f"unknown user_id {user_id if user_id in ('9999', '-1') else repr(user_id)}: "
    )
    assert "check the id" in message


@pytest.mark.parametrize("item", ["9", "x"])
def test_unknown_item_is_refused(model: Path, item: str) -> None:
    shown = item if item == "9" else "'x'"
    for words in (
        ["recommend", "--item_sequence", f"101,{item},105"],
        ["explain", "--item_sequence", f"101,{item},105"],
        ["explain", "--user_id", "1", "--item_id", item],
    ):
        assert (
            run(*words, "--model", model)
            .refused(1)
            .startswith(f"unknown item_id {shown}: the model does not know it")
        )


QUESTIONS = {
    "--user_id 1 --k 0": "k is 0: it must be a whole number, 1 or more",
    "--user_id 1 --k -1": "k is -1: it must be a whole number, 1 or more",
    "--k 3": "pass a user_id, an item_sequence, or both",
    "--item_sequence 101,105 --ratings 3": "1 ratings for 2 items",
    "--item_sequence 101 --ratings 11": "ratings: 11.0 is not on the scale 1, 2, 3, 4, 5",
    "--item_sequence 101 --timestamps -5": "-5 is no time",
    "--item_sequence 101 --timestamps 1e15": "is no time",
    "--item_sequence 101,105 --timestamps 9,3": (
        "timestamps must not fall, oldest first: 3 comes after 9"
    ),
    "--user_id 1 --timestamps 3": "timestamps and ratings go with an item_sequence",
    "--user_id 1 --request_time nan": "--request_time: 'nan' is not a number",
    "--user_id 1 --user_features gendre=F": "unknown user feature 'gendre'; known are gender",
    "--user_id 1 --user_features gender=X": "no value 'X'; known are F, M",
}


@pytest.mark.parametrize(("words", "message"), QUESTIONS.items(), ids=QUESTIONS)
def test_contradictory_request_is_refused(model: Path, words: str, message: str) -> None:
    done = run("recommend", "--model", model, "--json", *words.split())
    assert message in done.refused(2)
    assert done.out == ""


def test_model_is_evaluated_on_its_own_data_only(model: Path, other_world: Path) -> None:
    message = run("evaluate", "--model", model, "--data", other_world).refused(1)
    assert message.startswith(f"{other_world}: has checksum ")
    assert f"{model} was trained on " in message


def test_reports_on_different_data_are_not_compared(reports: Path, tmp_path: Path) -> None:
    one, other = reports / "popularity.json", tmp_path / "other.json"
    content = json.loads(one.read_text())
    content["protocol"]["dataset_checksum"] = "0123456789abcdef"
    other.write_text(json.dumps(content))
    message = run("compare", one, other, "--json").refused(1)
    assert "cannot be compared: their dataset checksum differ" in message
    assert "0123456789abcdef" in message


def test_compare_refuses_a_file_that_is_no_report(reports: Path, tmp_path: Path) -> None:
    for name in ("comparison.png", "report.md"):
        message = run("compare", reports / "popularity.json", reports / name).refused(1)
        assert message.startswith(f"{reports / name}: not a report of 'bert4rec evaluate --output'")
    assert str(tmp_path / "gone") in run(
        "compare", reports / "popularity.json", tmp_path / "gone"
    ).refused(1)


def test_compare_names_the_reports_of_a_folder(reports: Path) -> None:
    message = run("compare", reports, reports / "popularity.json").refused(2)
    assert message.startswith(f"{reports}: a folder of several reports; name one of them: ")
    assert {"model_request_time_on.json", "popularity.json"} < set(
        message.rpartition(": ")[2].split(", ")
    )


@pytest.mark.parametrize("command", ["prepare", "train", "evaluate"])
def test_output_below_a_file_is_refused(
    tmp_path: Path, release: Path, world_folder: Path, model: Path, command: str
) -> None:
    (tmp_path / "file").write_text("mine")
    words = {
        "prepare": ["--dataset", "ml-1m", "--data_dir", release.parent],
        "train": ["--data", world_folder, *settings()],
        "evaluate": ["--model", model],
    }[command]
    message = run(command, *words, "--output", tmp_path / "file" / "out").refused(1)
    assert message.startswith(str(tmp_path / "file" / "out"))
    assert "Not a directory" in message


def test_training_does_not_write_into_a_foreign_folder(world_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    message = run("train", "--data", world_folder, "--output", tmp_path, *settings()).refused(2)
    assert message.startswith(f"{tmp_path}: holds something that is no run that can go on")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_model_of_other_settings_needs_overwrite(world_folder: Path, model: Path) -> None:
    message = run(
        "train", "--data", world_folder, "--output", model, *settings(num_layers=2)
    ).refused(2)
    assert message.startswith(
        f"{model}: was trained with num_layers 1, not 2; choose another --output"
    )


def test_model_of_other_data_needs_overwrite(other_world: Path, model: Path) -> None:
    message = run("train", "--data", other_world, "--output", model, *settings()).refused(2)
    assert message.startswith(f"{model}: was trained on another dataset")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"scoring": "masked", "task_weights.item_prediction": 0}, "scoring 'masked' needs"),
        ({"accelerator": "mps"}, "accelerator 'mps', devices 1"),
    ],
    ids=["scoring", "device"],
)
def test_output_of_a_refused_run_can_be_used_again(
    world_folder: Path, tmp_path: Path, setting: dict[str, object], message: str
) -> None:
    words = ["train", "--data", world_folder, "--output", tmp_path / "out"]
    assert message in run(*words, *settings(**setting)).refused(2)
    assert not (tmp_path / "out" / "config.json").exists()
    run(*words, *settings(max_epochs=1)).succeeded()
