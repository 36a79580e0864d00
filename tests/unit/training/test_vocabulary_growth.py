"""A model that goes on with newer data, whose ids, values and units stand in other places."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bert4rec import artefact
from bert4rec.cli.main import main
from bert4rec.config import SplitConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.dataset_builder import NumberedTables, build_dataset
from bert4rec.data.features import Feature, Kind
from bert4rec.data.splits import make_split
from bert4rec.errors import ConfigError
from bert4rec.evaluation.comparison import Comparison
from bert4rec.ids import FIRST_ITEM, FIRST_USER, NO_TIME, PAD, UNKNOWN
from bert4rec.model.cold_start_bias import ColdStartBias
from bert4rec.model.network import Bert4Rec
from bert4rec.model.scorer import NetworkScorer
from bert4rec.result_tables import Estimate
from bert4rec.training.train import train
from bert4rec.training.warm_start import describe_comparison, load_warm_start, open_warm_start
from small_runs import run_of

OLD_USERS, OLD_ITEMS = 60, 20
GENTLY = {"max_epochs": 1, "learning_rate": 1e-6, "rating_learning_rate": 1e-6}


def content_of(
    world: PreparedDataset,
    users: Sequence[int],
    items: Sequence[int],
    newest_left: int,
    mean: float,
) -> NumberedTables:
    """Dataset of these users and items, in the given row order, without each user's newest events.

    Items have a number as well, 10 for each row of the world, standardised by `mean` and twice as
    much.
    """
    user_U, item_V = np.zeros(world.user_rows, dtype=int), np.zeros(world.item_rows, dtype=int)
    user_U[users], item_V[items] = (
        np.arange(len(users)) + FIRST_USER,
        np.arange(len(items)) + FIRST_ITEM,
    )
    user_N = np.repeat(np.arange(world.user_rows), np.diff(world.start_U1))
    back_N = np.asarray(world.start_U1)[user_N + 1] - np.arange(len(user_N))
    kept = np.flatnonzero(
        (user_U[user_N] > 0) & (item_V[world.item_N] > 0) & (back_N > newest_left)
    )
    item_rows, user_rows = [*range(FIRST_ITEM), *items], [UNKNOWN, *users]
    number_V = np.where(np.array(item_rows) % 5 == 0, np.nan, 10.0 * np.array(item_rows))
    number = (
        Feature("number", Kind.NUMERIC, mean=mean, scale=2 * mean),
        number_V,
    )
    return NumberedTables(
        name="grown",
        user_N=user_U[user_N][kept],
        item_N=item_V[world.item_N][kept],
        time_N=np.asarray(world.time_N)[kept],
        rating_N=np.asarray(world.rating_N)[kept],
        rating_levels=world.rating_levels.tolist(),
        user_ids=[world.users.raw(row) for row in users],
        item_ids=[world.items.raw(row) for row in items],
        titles=None,
        item_features=[
            number,
            *((of, np.asarray(table)[item_rows]) for of, table in world.item_features.values()),
        ],
        user_features=[
            _turned(of, np.asarray(table)[user_rows], users)
            for of, table in world.user_features.values()
        ],
    )


def _turned(
    feature: Feature, row_U: np.ndarray, users: Sequence[int]
) -> tuple[Feature, np.ndarray]:
    """The feature with its values in the other order, where the users are."""
    if users[0] == FIRST_USER or feature.kind is Kind.NUMERIC:
        return feature, row_U
    turned = replace(feature, values=list(reversed(feature.values)))
    return turned, np.where(row_U == UNKNOWN, UNKNOWN, feature.rows - row_U).astype(row_U.dtype)


@pytest.fixture(scope="module")
def old(world: PreparedDataset) -> PreparedDataset:
    """The first users and items, and of each user all but the last events."""
    users, items = (
        range(FIRST_USER, FIRST_USER + OLD_USERS),
        range(FIRST_ITEM, FIRST_ITEM + OLD_ITEMS),
    )
    return build_dataset(content_of(world, list(users), list(items), newest_left=4, mean=50.0))


@pytest.fixture(scope="module")
def new(world: PreparedDataset) -> PreparedDataset:
    """Everybody and everything, backwards."""
    return build_dataset(newer(world))


def newer(world: PreparedDataset) -> NumberedTables:
    users, items = range(FIRST_USER, world.user_rows), range(FIRST_ITEM, world.item_rows)
    return content_of(world, list(reversed(users)), list(reversed(items)), newest_left=0, mean=80.0)


@pytest.fixture(scope="module")
def folder(old: PreparedDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = run_of(max_epochs=6, learning_rate=0.01, cold_item_cost=1.0)
    return train(old, run, tmp_path_factory.mktemp("grow") / "first", log=lambda line: None)


def grown(folder: Path, new: PreparedDataset) -> tuple[Bert4Rec, str]:
    run = run_of(warm_start_from=str(folder))
    start, _ = open_warm_start(run, new, make_split(new, SplitConfig()))
    assert start is not None
    network = Bert4Rec.for_dataset(run.model, new, run.training.task_weights)
    return network, load_warm_start(network, start, new)


def test_who_was_known_is_answered_as_before(
    folder: Path, old: PreparedDataset, new: PreparedDataset
) -> None:
    network, logged = grown(folder, new)
    before, after = artefact.load(folder), NetworkScorer(network, run_of())
    assert before.network.cold_start_bias.get_buffer("bias_FI").any()
    assert logged.endswith(
        f"grows by {80 - OLD_USERS} users, 4 items "
        f"and {len(new.item_N) - len(old.item_N):,} events to grown"
    )
    for raw, all_events in ((1, True), (17, True), (60, True), (1, False), (60, False)):
        row, new_row = old.users.row(raw), new.users.row(raw)
        assert row is not None
        assert new_row is not None
        asked = old.histories(np.array([row]), np.asarray(old.start_U1)[[row + all_events]])
        same_items = [new.items.row(old.items.raw(int(item))) for item in asked.item_N]
        again = replace(asked, user_B=np.array([new_row]), item_N=np.array(same_items))
        old_1V, new_1V = before.scorer().score(asked), after.score(again)
        both = [new.items.row(of) for of in old.items.ids]
        assert new_1V[0, both].tolist() == pytest.approx(old_1V[0, FIRST_ITEM:].tolist(), abs=1e-4)
        target, new_target = torch.tensor([FIRST_ITEM]), torch.tensor([both[0]])
        rated, rated_again = (
            before.scorer().rating_distribution(asked, target),
            after.rating_distribution(again, new_target),
        )
        assert rated_again[0].tolist() == pytest.approx(rated[0].tolist(), abs=1e-4)
        liked, liked_again = (
            before.scorer().feature_preferences(asked),
            after.feature_preferences(again),
        )
        for name, likely in liked.items():
            assert liked_again[name][0].tolist() == pytest.approx(likely[0].tolist(), abs=1e-4)


def test_what_is_new_begins_as_what_is_unknown(
    folder: Path, old: PreparedDataset, new: PreparedDataset
) -> None:
    network, _ = grown(folder, new)
    cold_items = [row for row, raw in enumerate(new.items.ids, FIRST_ITEM) if raw not in old.items]
    new_users = [row for row, raw in enumerate(new.users.ids, FIRST_USER) if raw not in old.users]
    assert (len(cold_items), len(new_users)) == (4, 80 - OLD_USERS)
    assert not network.item.weight[cold_items].any()
    assert network.user is not None
    assert (network.user.user.weight[new_users] == network.user.user.weight[UNKNOWN]).all()


def test_a_run_is_compared_with_what_it_started_from(
    folder: Path, new: PreparedDataset, tmp_path: Path
) -> None:
    logged: list[str] = []
    further = train(
        new, run_of(**GENTLY, warm_start_from=str(folder)), tmp_path / "gently", log=logged.append
    )
    found = json.loads((further / "comparison.json").read_text())
    assert set(found) == {"request_time_on", "request_time_off"}
    assert abs(found["request_time_on"]["difference"]["ndcg@10"]["value"]) < 0.01
    assert any(
        line.startswith(
            f"no significant difference from {folder} (the 95 % interval includes 0): NDCG@10"
        )
        for line in logged
    )
    assert f": no significant difference from {folder}" in (further / "README.md").read_text()
    eagerly = train(
        new,
        run_of(max_epochs=8, learning_rate=0.02, warm_start_from=str(folder)),
        tmp_path / "eagerly",
        log=logged.append,
    )
    assert (
        json.loads((eagerly / "comparison.json").read_text())["request_time_on"]["difference"][
            "ndcg@10"
        ]["value"]
        > 0.02
    )
    assert any(line.startswith(f"better than {folder}: NDCG@10 +") for line in logged)
    train(new, run_of(**GENTLY), eagerly, overwrite=True, log=logged.append)
    assert not (eagerly / "comparison.json").exists()


def with_events(content: NumberedTables, row: int, first: int) -> NumberedTables:
    """Content without the later events of one user."""
    place_N = np.arange(len(content.user_N)) - np.searchsorted(content.user_N, content.user_N)
    kept = (content.user_N != row) | (place_N < first)
    of = {name: getattr(content, name)[kept] for name in ("user_N", "item_N", "time_N", "rating_N")}
    return replace(content, **of)


def test_whose_validation_event_was_trained_on_is_not_asked_for_it(
    world: PreparedDataset, new: PreparedDataset, tmp_path: Path
) -> None:
    users, items = (
        list(range(FIRST_USER, world.user_rows)),
        list(range(FIRST_ITEM, world.item_rows)),
    )
    early = content_of(world, users, items, newest_left=1, mean=50.0)
    start = train(
        build_dataset(with_events(early, row=5, first=2)), run_of(max_epochs=1), tmp_path / "start"
    )
    later = build_dataset(
        with_events(content_of(world, users, items, newest_left=0, mean=50.0), row=5, first=3)
    )
    logged: list[str] = []

    def stop(line: str) -> None:
        logged.append(line)
        if line.startswith("epoch   1/"):
            raise KeyboardInterrupt

    run = run_of(**{**GENTLY, "max_epochs": 2}, warm_start_from=str(start))
    with pytest.raises(KeyboardInterrupt):
        train(later, run, tmp_path / "grown", log=stop)
    assert (
        f"left out of validation, for {start} was trained on the held-out event: "
        f"1 of {len(users)} users" in logged
    )
    metrics = json.loads(
        (train(later, run, tmp_path / "grown", resume=True) / "metrics.json").read_text()
    )
    asked = [
        metrics[f"{cases}_request_time_on"]["protocol"]["users"] for cases in ("validation", "test")
    ]
    assert asked == [len(users) - 1, len(users)]


def test_ids_and_values_that_were_numbers_are_known_as_text(
    folder: Path, world: PreparedDataset
) -> None:
    as_text = newer(world)
    as_text = replace(
        as_text, user_ids=[*map(str, as_text.user_ids)], item_ids=[*map(str, as_text.item_ids)]
    )
    network, logged = grown(folder, build_dataset(as_text))
    known, _ = grown(folder, build_dataset(newer(world)))
    assert "grows by 20 users, 4 items" in logged
    assert torch.equal(network.item.weight, known.item.weight)


def test_a_new_value_begins_as_the_mean_of_those_known(
    folder: Path, world: PreparedDataset
) -> None:
    content = newer(world)
    place, (genre, row_V) = next(
        (place, (of, table))
        for place, (of, table) in enumerate(content.item_features)
        if of.kind is Kind.MULTI
    )
    more = replace(genre, values=["never heard of", *genre.values])
    content.item_features[place] = (more, np.where(row_V == UNKNOWN, UNKNOWN, row_V + 1))
    network, _ = grown(folder, build_dataset(content))
    weight = network.get_parameter(f"metadata.features.{place}.values.weight")
    known = artefact.load(folder).network.get_parameter(f"metadata.features.{place}.values.weight")
    assert torch.equal(weight[2:], known[1:])
    assert torch.allclose(weight[1], known[1:].mean(0))


def test_newcomers_biases_go_where_items_and_values_are_now(
    folder: Path, world: PreparedDataset, old: PreparedDataset
) -> None:
    """Half of the items are gone, and a value of a feature is new."""
    users, items = (
        range(FIRST_USER, world.user_rows),
        range(FIRST_ITEM + OLD_ITEMS // 2, world.item_rows),
    )
    content = content_of(
        world, list(reversed(users)), list(reversed(items)), newest_left=0, mean=50.0
    )
    place = next(
        place for place, (of, _) in enumerate(content.user_features) if of.name == "gender"
    )
    gender, row_U = content.user_features[place]
    more = replace(gender, values=["never heard of", *gender.values])
    content.user_features[place] = (
        more,
        np.where(row_U == UNKNOWN, UNKNOWN, row_U + 1).astype(row_U.dtype),
    )
    now = build_dataset(content)
    own = grown(folder, now)[0].cold_start_bias
    known = artefact.load(folder).network.cold_start_bias

    def by_raw(of: ColdStartBias, data: PreparedDataset) -> dict[Any, dict[Any, float]]:
        """Each item's biases of everybody and of each gender."""
        column = of.first_column_of_features()["gender"]
        values = ["unknown", *data.user_features["gender"][0].values]
        rows = {"everybody": 0, **{value: column + row for row, value in enumerate(values)}}
        return {
            data.items.raw(item): {
                value: float(of.get_buffer("bias_FI")[row, at]) for value, row in rows.items()
            }
            for at, item in enumerate(of.get_buffer("item_I").tolist())
            if item != PAD
        }

    before, after = by_raw(known, old), by_raw(own, now)
    still_there = [raw for raw in before if raw in now.items]
    assert set(after) == set(still_there)
    assert len(after) == OLD_ITEMS // 2
    for raw in still_there:
        assert before[raw]["everybody"]
        assert after[raw] == {**before[raw], "never heard of": 0.0}


def test_all_that_a_run_holds_out_must_be_new_to_the_model(
    folder: Path, old: PreparedDataset, new: PreparedDataset
) -> None:
    run = run_of(warm_start_from=str(folder), split="cold-start-users")
    split = make_split(new, run.split)
    with pytest.raises(
        ConfigError, match=r"was trained on [\d,]+ of the events that this run holds out"
    ) as refused:
        open_warm_start(run, new, split)
    excluded = int(str(refused.value).split("trained on ")[1].split(" of the")[0].replace(",", ""))
    assert excluded > len(split.validation) + len(split.test)


def test_a_split_that_is_made_in_another_way_now_is_refused(
    folder: Path, new: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = artefact.load(folder)
    of_before = replace(model, split={**model.split, "checksum": "0123456789abcdef"})
    monkeypatch.setattr(artefact, "load_for_dataset", lambda folder, dataset: of_before)
    with pytest.raises(
        ConfigError, match="was split in another way by the version that trained it"
    ):
        grown(folder, new)


def test_a_comparison_says_which_model_to_keep() -> None:
    def logged(low: float, high: float) -> str:
        difference = {"ndcg@10": Estimate((low + high) / 2, low, high)}
        return describe_comparison(Comparison("new", "old", difference, {}, {"users": 1234}))

    assert (
        logged(0.01, 0.03) == "better than old: NDCG@10 +0.0200 [+0.0100, +0.0300] on 1,234 users"
    )
    assert logged(-0.03, -0.01).startswith("worse than old: keep that one: NDCG@10 -0.0200")
    assert logged(-0.01, 0.03).startswith(
        "no significant difference from old (the 95 % interval includes 0): NDCG@10 +0.0100"
    )


@pytest.mark.parametrize("timed", [True, False])
def test_model_trained_on_held_out_events_is_refused(
    timed: bool, world: PreparedDataset, old: PreparedDataset, tmp_path: Path
) -> None:
    content = newer(world)
    if not timed:  # nobody can tell one event of a pair from another
        content = replace(content, time_N=np.full(len(content.time_N), NO_TIME))
    knows = train(
        build_dataset(content), run_of(max_epochs=1), tmp_path / "knows", log=lambda line: None
    )
    with pytest.raises(
        ConfigError,
        match=r"warm_start_from .*knows: was trained on \d+ of the events that this run holds out",
    ):
        grown(knows, old)


def test_a_published_model_goes_on_with_its_own_data_alone(
    world: PreparedDataset, new: PreparedDataset, tmp_path: Path
) -> None:
    everybody = list(reversed(range(FIRST_USER, world.user_rows)))
    everything = list(reversed(range(FIRST_ITEM, world.item_rows)))
    older = build_dataset(content_of(world, everybody, everything, newest_left=1, mean=80.0))
    model = artefact.load(
        train(older, run_of(max_epochs=1), tmp_path / "whole", log=lambda line: None)
    )
    split = make_split(older, model.config.split)
    artefact.save(
        tmp_path / "published", model.network, model.config, older, split, with_data=False
    )
    network, _ = grown(tmp_path / "published", older)
    assert torch.equal(network.item.weight, model.network.item.weight)
    with pytest.raises(
        ConfigError, match=r"published: was published without its data, so nobody can tell"
    ):
        grown(tmp_path / "published", new)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"user_ids": range(1000, 1060)}, "knows none of the users of grown"),
        ({"item_ids": range(1000, 1020)}, "knows none of the items of grown"),
        ({"user_features": ()}, "knows the user features .*, grown has none"),
        ({"rating_levels": [1.0, 2.0, 3.0, 4.0, 6.0]}, "knows ratings on another scale"),
    ],
)
def test_data_of_another_kind_is_refused(
    changes: dict[str, Any], message: str, folder: Path, world: PreparedDataset
) -> None:
    users, items = (
        range(FIRST_USER, FIRST_USER + OLD_USERS),
        range(FIRST_ITEM, FIRST_ITEM + OLD_ITEMS),
    )
    content = content_of(world, list(users), list(items), newest_left=3, mean=50.0)
    with pytest.raises(ConfigError, match=f"warm_start_from .*first: {message}"):
        grown(folder, build_dataset(replace(content, **changes)))


def test_the_command_goes_on_with_the_settings_of_the_model(
    folder: Path, world: PreparedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_dataset(newer(world)).save(tmp_path / "newer")
    words = [
        "train",
        "--from",
        folder,
        "--data",
        tmp_path / "newer",
        "--output",
        tmp_path / "further",
    ]
    assert (
        main([*map(str, words), "--max_epochs", "1", "--task_weights.user_preference", "0.1"]) == 0
    )
    run = artefact.load(tmp_path / "further").config
    assert (run.model, run.training.max_epochs) == (run_of().model, 1)
    assert (run.training.learning_rate, run.training.warm_start_from) == (0.01, str(folder))
    assert run.training.task_weights == replace(run_of().training.task_weights, user_preference=0.1)
    assert ": NDCG@10 " in capsys.readouterr().out  # the verdict on the warm-start model
    assert main(["train", "--from", str(tmp_path), "--data", "x", "--output", "y"]) == 1
    assert "is not a complete model folder" in capsys.readouterr().err
    (tmp_path / "from.yaml").write_text(f"from: {folder}\n")
    assert (
        main(["train", "--config", str(tmp_path / "from.yaml"), "--data", "x", "--output", "y"])
        == 2
    )
    assert "--from goes on the command line" in capsys.readouterr().err
