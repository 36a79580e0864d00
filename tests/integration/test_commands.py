"""From raw files to answers: each documented form of a command, and what it prints."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from command_line import TINY, Done, run, settings

HISTORY = "101,105,109,113"


def answer(*words: object) -> dict[str, Any]:
    """The one JSON document on stdout."""
    document = json.loads(run(*words, "--json").succeeded())
    assert isinstance(document, dict)
    return document


def test_prepare_turns_a_release_into_a_prepared_folder(release: Path, tmp_path: Path) -> None:
    folder = tmp_path / "prepared" / "ml-1m"
    printed = run(
        "prepare", "--dataset", "ml-1m", "--data_dir", release.parent, "--output", folder
    ).succeeded()
    assert re.search(r"ratings\.dat: time +event order and time", printed)
    assert "16 users, 12 items, 128 events" in printed.splitlines()[-1]
    again = run(
        "prepare", "--dataset", "ml-1m", "--data_dir", release.parent, "--output", folder
    ).succeeded()
    assert "already prepared" in again


def test_own_table_becomes_a_model(tmp_path: Path) -> None:
    rows = [f"u{user},p{(user + place) % 6},{place}\n" for user in range(8) for place in range(5)]
    (tmp_path / "clicks.csv").write_text("who,what,when\n" + "".join(rows))
    schema = tmp_path / "my.yaml"
    schema.write_text("events: {file: clicks.csv, user: who, item: what, time: when}\n")
    prepared, folder = tmp_path / "prepared", tmp_path / "model"
    run("prepare", "--schema", schema, "--output", prepared).succeeded()
    run("train", "--data", prepared, "--output", folder, *settings(max_epochs=1)).succeeded()
    found = answer("recommend", "--model", folder, "--user_id", "u3", "--k", "1")
    assert found["user_id"] == "u3"
    assert found["items"][0]["item_id"] == "p2"  # the only one that was not seen


def test_training_prints_plain_lines_and_writes_a_model(world_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "a"
    printed = run("train", "--data", world_folder, "--output", folder, *settings()).succeeded()
    first, second, summary, held_back, last = printed.splitlines()
    assert re.match(
        r"epoch   1/2  item_prediction \d+\.\d{3}  .*ndcg@10 0\.\d{4} \*  .*events/s.*left at most",
        first,
    )
    assert second.startswith("epoch   2/2  ")
    assert summary.startswith("trained 2 epochs in ")
    assert re.match(
        r"scores of cold-start items are lowered by \d+\.\d\d \(cold_item_cost 0\.005\)", held_back
    )
    assert last == f"model folder: {folder}"
    assert "\x1b" not in printed
    assert "\r" not in printed


def test_estimate_of_a_long_epoch_precedes_its_line(world_folder: Path, tmp_path: Path) -> None:
    words = [
        "--data",
        world_folder,
        "--output",
        tmp_path / "a",
        *settings(batch_size=4, max_epochs=1, windows="last"),
    ]
    lines = run("train", *words).succeeded().splitlines()
    assert lines[0].startswith("about ")
    assert "for all 1" in lines[0]
    assert lines[1].startswith("epoch   1/1 ")


def test_short_epoch_has_no_separate_estimate(world_folder: Path, tmp_path: Path) -> None:
    words = [
        "--data",
        world_folder,
        "--output",
        tmp_path / "a",
        *settings(batch_size=40, max_epochs=12),
    ]
    lines = run("train", *words).succeeded().splitlines()
    assert [line.split()[0] for line in lines[:12]] == ["epoch"] * 12  # 2 steps each, 24 in all


def test_flag_overrides_file_and_file_overrides_default(world_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(
        json.dumps({**TINY, "task_weights": {"rating_prediction": 0.1, "user_preference": 0.0}})
    )
    flags = ["--max_epochs", "1", "--task_weights.rating_prediction", "0.5"]
    run(
        "train", "--data", world_folder, "--output", tmp_path / "a", "--config", file, *flags
    ).succeeded()
    stored = json.loads((tmp_path / "a" / "config.json").read_text())["settings"]
    assert (stored["max_epochs"], stored["hidden_size"], stored["weight_decay"]) == (1, 16, 0.01)
    assert stored["task_weights"] == {
        "item_prediction": 1.0,
        "next_item": 1.0,
        "rating_prediction": 0.5,
        "user_preference": 0.0,
    }


def test_complete_model_is_not_trained_again(world_folder: Path, model: Path) -> None:
    printed = run("train", "--data", world_folder, "--output", model, *settings()).succeeded()
    assert (
        printed == f"{model}: already trained with these settings on this data; "
        "--overwrite trains it again\n"
    )


def test_evaluate_reports_metrics_intervals_and_the_protocol(
    model: Path, world_folder: Path
) -> None:
    found = answer("evaluate", "--model", model, "--data", world_folder)
    assert {"hit@10", "ndcg@10", "mrr", "coverage@10"} <= set(found["metrics"])
    ndcg = found["metrics"]["ndcg@10"]
    assert 0 <= ndcg["low"] <= ndcg["value"] <= ndcg["high"] <= 1
    assert (found["protocol"]["users"], found["protocol"]["candidates"]) == (80, "all 24 items")
    assert set(found["rows"]) == {"request_time_on", "request_time_off"}
    assert found["rows"]["request_time_on"]["metrics"] == found["metrics"]


def test_evaluate_uses_the_data_of_the_model_by_default(model: Path, world_folder: Path) -> None:
    assert answer("evaluate", "--model", model) == answer(
        "evaluate", "--model", model, "--data", world_folder
    )


def test_baselines_are_reported_and_their_remarks_go_to_stderr(model: Path) -> None:
    done = run("evaluate", "--model", model, "--baselines", "--json")
    found = json.loads(done.out)
    assert done.err == "fitting baselines\n"
    assert set(found["baselines"]) == {"popularity", "sequential rules", "item kNN"}
    assert "global mean" in found["rating_baselines"]


def test_evaluation_table_has_one_line_a_row(model: Path) -> None:
    lines = [
        line.rstrip()
        for line in run("evaluate", "--model", model, "--baselines").succeeded().splitlines()
    ]
    ranking, rating, interval, protocol = "\n".join(lines[1:]).split("\n\n")
    number = r"\d\.\d{4}"
    for row in ranking.splitlines()[1:]:
        assert re.fullmatch(
            rf"\S.*?  +{number} ±{number}  +{number} ±{number}  +{number} ±{number}  +{number}", row
        )
    names = [re.split(r"  +", row)[0] for row in ranking.splitlines()[1:]]
    assert names[:2] == ["model, request time on", "model, request time off"]
    assert set(names[2:]) == {"popularity", "sequential rules", "item kNN"}
    assert re.split(r"  +", rating.splitlines()[0])[1:] == [
        "rating_rmse",
        "rating_mae",
        "rating_ece",
        "rating_ece_chance",
    ]
    assert [re.split(r"  +", row)[0] for row in rating.splitlines()[1:]] == [
        *names[:2],
        "global mean",
        "user and item biases",
    ]
    assert re.split(r"  +", interval.splitlines()[0])[1:] == [
        "rating_coverage",
        "rating_coverage_stated",
        "rating_interval_levels",
    ]
    assert [re.split(r"  +", row)[0] for row in interval.splitlines()[1:]] == names[:2]
    assert max(map(len, "\n".join([ranking, rating, interval]).splitlines())) <= 100
    assert "request time as the rows say" in " ".join(protocol.split())


def test_evaluate_writes_reports_that_compare_reads(reports: Path) -> None:
    names = {path.name for path in reports.iterdir()}
    assert {
        "report.md",
        "comparison.png",
        "reliability.png",
        "popularity.json",
        "model_request_time_on.json",
    } < names
    found = answer("compare", reports / "model_request_time_on.json", reports / "popularity.json")
    difference = found["difference"]["ndcg@10"]
    assert difference["low"] <= difference["value"] <= difference["high"]
    assert (found["first"], found["second"]) == ("model", "popularity")
    assert 0 < found["p_value"]["hit@10"] <= 1
    assert (
        found["slices"]["short histories"]["users"] == found["protocol"]["users"]
    )  # this world knows no others
    assert found["slices"]["short histories"]["difference"] == found["difference"]


def test_compare_evaluates_a_model_as_its_report_was(model: Path, reports: Path) -> None:
    table = run("compare", model, reports / "model_request_time_on.json").succeeded()
    for metric in ("ndcg@10", "rating_rmse"):
        assert re.search(
            rf"^{metric} +\+0\.0000 \[\+0\.0000, \+0\.0000\] +1\.0000", table, re.MULTILINE
        )
    assert re.search(
        r"^rare items +\d+ +(\+0\.0000 \[\+0\.0000, \+0\.0000\] *){3}$", table, re.MULTILINE
    )


@pytest.mark.parametrize(
    "who", [["--user_id", "7"], ["--item_sequence", HISTORY]], ids=["stored", "given"]
)
def test_recommend_returns_ranked_items(model: Path, who: list[str]) -> None:
    items = answer("recommend", "--model", model, *who, "--k", "3")["items"]
    assert [item["rank"] for item in items] == [1, 2, 3]
    assert items[0]["score"] >= items[1]["score"] >= items[2]["score"]
    assert {item["item_id"] for item in items} <= set(range(101, 125))
    assert 1 <= items[0]["expected_rating"] <= 5


def test_recommend_returns_10_items_or_all_that_are_left(model: Path) -> None:
    assert len(answer("recommend", "--model", model, "--item_sequence", HISTORY)["items"]) == 10
    assert (
        len(
            answer("recommend", "--model", model, "--item_sequence", HISTORY, "--k", "1000")[
                "items"
            ]
        )
        == 24 - 4
    )


def test_seen_items_are_filtered_by_default(model: Path) -> None:
    words = ["recommend", "--model", model, "--item_sequence", HISTORY, "--k", "24"]
    seen = set(map(int, HISTORY.split(",")))
    assert not seen & {item["item_id"] for item in answer(*words)["items"]}
    assert seen < {item["item_id"] for item in answer(*words, "--filter_seen", "false")["items"]}


def test_unknown_items_of_a_sequence_can_be_ignored(model: Path) -> None:
    words = ["recommend", "--model", model, "--ignore_unknown_items", "true", "--item_sequence"]
    assert answer(*words, f"{HISTORY},9") == answer(*words, HISTORY)


def test_request_takes_time_and_user_features(model: Path) -> None:
    words = ["recommend", "--model", model, "--item_sequence", HISTORY]
    more = [
        "--timestamps",
        "1e9,1.1e9,1.2e9,1.3e9",
        "--ratings",
        "5,4,5,4",
        "--request_time",
        "now",
    ]
    found = answer(*words, *more, "--user_features", "gender=F")
    assert np.isfinite([item["score"] for item in found["items"]]).all()
    assert found != answer(*words)


def test_user_features_suffice_for_a_cold_start_user(model: Path) -> None:
    alone = ["--user_features", "gender=F"]
    assert answer("recommend", "--model", model, *alone) == answer(
        "recommend", "--model", model, *alone, "--item_sequence", ""
    )


def test_bench_reports_latency_and_throughput(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bert4rec.engine.latency.BATCH_SECONDS", 0.0)
    words = [
        "bench",
        "--model",
        model,
        "--requests",
        "3",
        "--batch_sizes",
        "1",
        "4",
        "--catalogues",
        "30",
        "100",
    ]
    found = answer(*words)
    assert [one["items"] for one in found["catalogues"]] == [24, 30, 100]
    assert all(one["users_per_second"].keys() == {"1", "4"} for one in found["catalogues"])
    assert found["threads"] == 1
    told = run(*words).succeeded()
    for part in ("one request: milliseconds", "p50", "p99", "users per second", "made-up items"):
        assert part in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--catalogues", "5"], "catalogues holds 5, but the model knows 24 items"),
        (["--requests", "0"], "requests is 0: it must be 1 or more"),
        (["--batch_sizes", "4", "0"], "batch_sizes is [4, 0]: each must be 1 or more"),
    ],
)
def test_bench_refuses_impossible_sizes(model: Path, words: list[str], said: str) -> None:
    assert said in run("bench", "--model", model, *words).refused(2)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "tsv"])
def test_recommend_writes_recommendations_for_all_users(
    model: Path, tmp_path: Path, suffix: str
) -> None:
    output = tmp_path / f"recs.{suffix}"
    told = run(
        "recommend", "--model", model, "--users", "all", "--k", "3", "--output", output
    ).succeeded()
    assert re.fullmatch(rf"80 users in [\d.]+ s, [\d,]+ users/s: {output}", told.strip())
    read = {
        "parquet": pl.read_parquet,
        "csv": pl.read_csv,
        "tsv": lambda path: pl.read_csv(path, separator="\t"),
    }
    lists = read[suffix](output)
    assert lists.columns == ["user_id", "item_id", "score", "rank"]
    assert lists["user_id"].to_list() == [user for user in range(1, 81) for _ in range(3)]
    one = answer("recommend", "--model", model, "--user_id", "7", "--k", "3")["items"]
    of_7 = lists.filter(pl.col("user_id") == 7)
    assert of_7["item_id"].to_list() == [item["item_id"] for item in one]
    assert of_7["score"].to_list() == pytest.approx([item["score"] for item in one], abs=1e-4)
    assert [path.name for path in tmp_path.iterdir()] == [output.name]


def test_recommend_reads_user_ids_from_a_file(model: Path, tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text("user_id\n9\n\n7\n")
    words = [
        "recommend",
        "--model",
        model,
        "--users",
        tmp_path / "some.txt",
        "--output",
        tmp_path / "r.csv",
    ]
    found = answer(*words, "--k", "2", "--request_time", "now", "--filter_seen", "false")
    assert found["users"] == 2
    assert found["users_per_second"] > 0
    assert pl.read_csv(tmp_path / "r.csv")["user_id"].to_list() == [9, 9, 7, 7]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--users", "all"], 2, "--users and --output go together"),
        (["--output", "r.csv"], 2, "--users and --output go together"),
        (["--users", "all", "--output", "r.txt"], 2, "end its name in .parquet, .csv, .tsv"),
        (["--users", "all", "--output", "r.csv", "--user_id", "7"], 2, "leave out --user_id"),
        (
            ["--users", "all", "--output", "r.csv", "--user_features", "gender=F"],
            2,
            "--users takes stored histories",
        ),
        (["--users", "all", "--output", "r.csv", "--k", "0"], 2, "k is 0"),
        (
            ["--users", "all", "--output", "absent/r.parquet"],
            1,
            "absent/r.parquet: No such file or directory",
        ),
        (
            ["--users", "absent.txt", "--output", "r.csv"],
            1,
            "absent.txt: No such file or directory",
        ),
        (
            ["--users", "unknown.txt", "--output", "r.csv", "--unknown_users", "error"],
            1,
            "unknown user_id 9999",
        ),
        (["--users", "binary.txt", "--output", "r.csv"], 1, "binary.txt, row 2: no text in UTF-8"),
        (["--users", "cut.gz", "--output", "r.csv"], 1, "cut.gz: truncated or damaged"),
        (["--users", "wide.csv", "--output", "r.csv"], 1, "no column user_id; the file has a, b"),
        (["--users", ".", "--output", "r.csv"], 1, "Is a directory"),
        (["--histories", "wide.csv", "--output", "r.csv"], 1, "no column user_id; the file has a"),
        (["--histories", "wide.csv"], 2, "--users and --output go together"),
        (["--users", "empty.txt", "--output", "r.csv"], 1, "holds no user ids; write one a line"),
    ],
    ids=lambda value: "" if isinstance(value, (int, str)) else " ".join(value),
)
def test_recommend_refuses_faulty_flags_for_many_users(
    model: Path,
    tmp_path: Path,
    words: list[str],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "unknown.txt").write_text("7\n9999\n")
    (tmp_path / "empty.txt").write_text("user_id\n")
    (tmp_path / "binary.txt").write_bytes(bytes(range(256)))
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"7\n", mtime=0)[:-4])
    (tmp_path / "wide.csv").write_text("a,b\n1,2\n")
    before = {path.name for path in tmp_path.iterdir()}
    assert said in run("recommend", "--model", model.resolve(), *words).refused(code)
    assert {path.name for path in tmp_path.iterdir()} == before


def listed(model: Path, folder: Path, *words: object) -> tuple[pl.DataFrame, Done]:
    """Lists of a batch, and the output of its command."""
    done = run("recommend", "--model", model, *words, "--output", folder / "r.csv", "--k", "2")
    assert done.code == 0, done.err
    return pl.read_csv(folder / "r.csv"), done


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("u.txt", b"\xef\xbb\xbf9\n7\n"),
        ("u.txt", b'"9"\r\n"7"\r\n'),
        ("u.txt", b"9.0\n7.0\n"),
        ("u.txt", b"customer\n9\n7\n"),
        ("u.txt.gz", gzip.compress(b"9\n7\n", mtime=0)),
        ("u.csv", b"segment,user_id\na,9\nb,7\n"),
        ("u.TSV", b"user_id\tsegment\n9\ta\n7\tb\n"),
        ("u.csv.gz", gzip.compress(b"user_id,segment\n9,a\n7,b\n", mtime=0)),
    ],
)
def test_recommend_reads_user_ids_of_many_layouts(
    model: Path, tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    lists, _ = listed(model, tmp_path, "--users", tmp_path / name)
    assert lists["user_id"].to_list() == [9, 9, 7, 7]


def test_recommend_reads_user_ids_of_a_parquet_column(model: Path, tmp_path: Path) -> None:
    pl.DataFrame({"user_id": [9.0, 7.0], "x": [1, 2]}).write_parquet(tmp_path / "u.parquet")
    lists, _ = listed(model, tmp_path, "--users", tmp_path / "u.parquet")
    assert lists["user_id"].to_list() == [9, 9, 7, 7]


def test_an_unknown_user_ends_no_batch_and_is_counted(model: Path, tmp_path: Path) -> None:
    (tmp_path / "u.txt").write_text("7\n9999\n007\n9\n")
    words = ["--users", tmp_path / "u.txt"]
    lists, done = listed(model, tmp_path, *words)
    assert lists["user_id"].to_list() == [7, 7, 9, 9]
    assert done.out.strip().endswith("r.csv; 2 unknown users skipped: 9999, 007")
    cold, done = listed(model, tmp_path, *words[:1], tmp_path / "u.txt", "--json")
    assert json.loads(done.out)["unknown_users"] == 2
    (tmp_path / "u.txt").write_text("7\n9999\n9\n")
    cold, done = listed(model, tmp_path, *words, "--unknown_users", "cold_start")
    assert cold["user_id"].to_list() == [7, 7, 9999, 9999, 9, 9]
    assert "1 unknown users answered as cold-start users: 9999" in done.out


def test_newer_histories_replace_stored_ones_and_may_hold_new_users_and_items(
    model: Path, tmp_path: Path
) -> None:
    (tmp_path / "h.csv").write_text(
        "user_id,item_id,time\n9999,105,1000000200\n7,101,1000000000\n"
        "9999,101,1000000100\n7,777,1000000000\n5,777,1000000000\n7,101,1000000000\n"
    )
    lists, done = listed(model, tmp_path, "--histories", tmp_path / "h.csv")
    assert lists["user_id"].to_list() == [9999, 9999, 7, 7, 5, 5]
    assert done.err.strip() == (
        "bert4rec: warning: histories: 2 events left out, of 1 items that the model does not know"
    )
    one = answer(
        *("recommend", "--model", model, "--item_sequence", "101,105"),
        *("--timestamps", "1000000100,1000000200", "--k", "2"),
    )
    assert lists["item_id"].to_list()[:2] == [item["item_id"] for item in one["items"]]


def test_items_may_be_allowed_and_denied_by_files(model: Path, tmp_path: Path) -> None:
    (tmp_path / "stock.csv").write_text("item_id,stock\n101,5\n105,2\n777,1\n")
    (tmp_path / "deny.txt").write_text("101\n")
    words = ["--allow_file", tmp_path / "stock.csv", "--deny_file", tmp_path / "deny.txt"]
    done = run(
        *("recommend", "--model", model, "--item_sequence", "102", "--json"),
        *(*words, "--allow", "777,888"),
    )
    found = json.loads(done.out)
    assert [item["item_id"] for item in found["items"]] == [105]
    said = "allow: 3 of 5 ids not in the catalogue, ignored: 777, 888, 777"
    assert found["warnings"] == [said]
    assert done.err == f"bert4rec: warning: {said}\n"


@pytest.mark.parametrize(
    "who", [["--user_id", "7"], ["--item_sequence", HISTORY]], ids=["stored", "given"]
)
def test_explain_returns_measured_effects(model: Path, who: list[str]) -> None:
    found = answer("explain", "--model", model, *who, "--item_id", "120")
    assert found["item_id"] == 120
    assert found["sentence"].startswith("Item 19 (120) has rank ")
    assert {"item_id", "effect", "rank_without", "position"} <= set(found["events"][0])


def test_explain_draws_a_plot_and_computes_gradients(model: Path, tmp_path: Path) -> None:
    pictures = [tmp_path / name for name in ("effects.png", "attention.png")]
    drawn = ["--plot", pictures[0], "--attention", pictures[1]]
    found = answer("explain", "--model", model, "--user_id", "7", "--method", "gradients", *drawn)
    assert {"item_id", "effect", "position", "title"} == set(found["events"][0])
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)
    assert "'leave-one-out', 'gradients'" in run(
        "explain", "--model", model, "--user_id", "7", "--method", "guess"
    ).refused(2)


def test_evaluate_measures_faithfulness(model: Path, tmp_path: Path) -> None:
    found = answer("evaluate", "--model", model, "--explanations", "6", "--output", tmp_path)[
        "explanations"
    ]
    assert (found["users"], found["request_time"]) == (6, True)
    assert set(found["explainers"]) >= {"leave-one-out", "random", "most recent"}
    assert (
        json.loads((tmp_path / "explanations.json").read_text())["explainers"]
        == found["explainers"]
    )
    assert (tmp_path / "explanations.png").read_bytes().startswith(b"\x89PNG")
    told = run("evaluate", "--model", model, "--explanations", "6").succeeded()
    for part in (
        "DEL: the item's likelihood",
        "INS: ",
        "POS: ",
        "NEG: ",
        "leave-one-out − most recent",
        "forward passes",
    ):
        assert part in told
    assert max(map(len, told.splitlines())) <= 120
    said = run("evaluate", "--model", model, "--explanations", "-1").refused(2)
    assert said.endswith("explanations is -1: it is a number of users")


@pytest.mark.parametrize(
    "who", [["--user_id", "7"], ["--item_sequence", HISTORY]], ids=["stored", "given"]
)
def test_explain_without_an_item_explains_the_top_recommendation(
    model: Path, who: list[str]
) -> None:
    first = answer("recommend", "--model", model, *who, "--k", "1")["items"][0]
    found = answer("explain", "--model", model, *who)
    assert (found["item_id"], found["rank"]) == (first["item_id"], 1)
    assert found["score"] == pytest.approx(first["score"], abs=1e-4)


def test_explain_without_an_item_refuses_an_empty_recommendation(model: Path) -> None:
    everything = ",".join(map(str, range(101, 125)))
    said = run("explain", "--model", model, "--item_sequence", everything).refused(2)
    assert said.endswith("name one with --item_id")


def test_profile_returns_user_features_and_predictions(model: Path) -> None:
    found = answer("profile", "--model", model, "--user_id", "7")
    assert found["user_id"] == 7
    assert {
        "gender",
        "age_group",
        "occupation_code",
        "num_events",
        "favourite_genres",
        "predicted_genres",
    } <= set(found)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["recommend", "--user_id", "7"], ["recommended to user 7", "rank", "title", "rating"]),
        (
            ["explain", "--user_id", "7"],
            ["has rank 1 among", "effect of each past event", "effect of user and request"],
        ),
        (["explain", "--item_sequence", HISTORY], ["effect of each past event", "rank without"]),
        (["profile", "--user_id", "7"], ["user 7", "gender", "favourite_genres", "%"]),
    ],
    ids=lambda value: value[0] if value[0] in ("recommend", "explain", "profile") else "",
)
def test_answers_without_json_are_tables(model: Path, words: list[str], parts: list[str]) -> None:
    printed = run(*words, "--model", model).succeeded()
    assert all(part in printed for part in parts), printed
    assert max(map(len, printed.splitlines())) <= 120


def test_ids_that_begin_with_a_dash_or_hold_commas_can_be_written(model: Path) -> None:
    said = run("recommend", "--model", model, "--user_id", "7", "--deny", "-5,-6").refused(2)
    assert said == "--deny: expected one argument; if it begins with -, write --deny=-5,-6"
    done = run("recommend", "--model", model, "--user_id", "7", '--deny=-5,"a,b"', "--json")
    assert json.loads(done.out)["warnings"] == [
        "deny: 2 of 2 ids not in the catalogue, ignored: -5, 'a,b'"
    ]
