"""Learning on synthetic data with a known rule: most items are followed by the next of their cycle.

The last item of each group is no part of the trained catalogue. Later it is a cold-start item,
known by its features alone.
"""

from __future__ import annotations

import numpy as np
import pytest
from torch import Tensor

from bert4rec import artefact
from bert4rec.artefact import Artefact
from bert4rec.config import ModelConfig, RunConfig, SplitConfig, TaskWeights, TrainingConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.dataset_builder import NumberedTables, build_dataset
from bert4rec.data.histories import Histories
from bert4rec.data.splits import Split, make_split
from bert4rec.data.synthetic import GROUPS, synthetic_dataset
from bert4rec.evaluation.baselines import Popularity
from bert4rec.evaluation.evaluate import evaluate
from bert4rec.evaluation.rating_baselines import rating_baselines
from bert4rec.evaluation.report import Report
from bert4rec.ids import FIRST_ITEM, FIRST_USER, NO_TIME, UNKNOWN
from bert4rec.model.network import Bert4Rec
from bert4rec.model.scorer import NetworkScorer
from bert4rec.training.train import train

ITEMS = 60
NEW = np.arange(ITEMS - GROUPS, ITEMS)
"""One item of each group: item i is of group i mod 4."""
KNOWN = ITEMS - GROUPS


def world_of(items: int) -> PreparedDataset:
    """The events of the known items, in a catalogue of the first `items`."""
    full = synthetic_dataset(seed=0, num_users=200, num_items=ITEMS, events_per_user=30)
    known_N = full.item_N < FIRST_ITEM + KNOWN
    user_N = np.repeat(np.arange(full.user_rows), np.diff(full.start_U1))
    return build_dataset(
        NumberedTables(
            name="known items",
            user_N=user_N[known_N],
            item_N=full.item_N[known_N],
            time_N=full.time_N[known_N],
            rating_N=full.rating_N[known_N],
            rating_levels=full.rating_levels.tolist(),
            user_ids=full.users.ids,
            item_ids=full.items.ids[:items],
            item_features=[
                (feature, table[: FIRST_ITEM + items])
                for feature, table in full.item_features.values()
            ],
            user_features=list(full.user_features.values()),
        )
    )


@pytest.fixture(scope="module")
def world() -> PreparedDataset:
    return world_of(KNOWN)


@pytest.fixture(scope="module")
def split(world: PreparedDataset) -> Split:
    return make_split(world, SplitConfig())


BLOCKS = {
    "default blocks": {},
    "gated blocks": {"block": "gated", "relative_time": True, "relative_position": True},
}


@pytest.fixture(scope="module", params=BLOCKS)
def model(
    request: pytest.FixtureRequest, world: PreparedDataset, tmp_path_factory: pytest.TempPathFactory
) -> Artefact:
    sizes = {
        "hidden_size": 32,
        "num_heads": 2,
        "num_layers": 2,
        "seq_length": 16,
        "feature_embedding_size": 8,
        "user_embedding_size": 8,
    }
    shares = {"dropout": 0.0, "id_dropout": 0.3, "user_dropout": 0.3}
    run = RunConfig(
        ModelConfig(**{**sizes, **shares, **BLOCKS[request.param]}),  # type: ignore[arg-type]
        TrainingConfig(
            batch_size=50,
            learning_rate=0.01,
            max_epochs=20,
            warmup_steps=10,
            cold_item_cost=1.0,  # no penalty: the test is about metadata alone
            task_weights=TaskWeights(item_prediction=0.5, rating_prediction=1.0),
            accelerator="cpu",
        ),
    )
    folder = train(world, run, tmp_path_factory.mktemp("learned") / "run", log=lambda line: None)
    return artefact.load(folder)


@pytest.fixture(scope="module")
def report(model: Artefact, world: PreparedDataset, split: Split) -> Report:
    return evaluate(model.scorer(), world, split)


def group(item: object) -> np.ndarray:
    return (np.asarray(item) - FIRST_ITEM) % GROUPS


def test_model_reaches_the_accuracy_of_the_rule(
    report: Report, world: PreparedDataset, split: Split
) -> None:
    last_C, true_C = (world.item_N[split.test.target_C - back] - FIRST_ITEM for back in (1, 0))
    rule_C = np.where(
        last_C + GROUPS < KNOWN, last_C + GROUPS, last_C % GROUPS
    )  # the circle's next, or its first
    ceiling = (rule_C == true_C).mean()
    assert 0.8 < ceiling < 0.95
    assert report.metrics["hit@1"].value > 0.9 * ceiling


def test_model_beats_popularity_by_far(
    report: Report, world: PreparedDataset, split: Split
) -> None:
    popular = evaluate(Popularity(world, split), world, split)
    assert report.metrics["ndcg@10"].value > 4 * popular.metrics["ndcg@10"].value
    assert report.metrics["hit@10"].low > popular.metrics["hit@10"].high


def test_predicted_ratings_beat_the_global_mean(
    report: Report, world: PreparedDataset, split: Split
) -> None:
    mean = rating_baselines(world, split, split.test)["global mean"]
    assert report.metrics["rating_rmse"].value < 0.96 * mean["rating_rmse"]


def liked_of(user_B: np.ndarray) -> np.ndarray:
    return (user_B - FIRST_USER) % GROUPS


def with_new_items(model: Artefact) -> NetworkScorer:
    """Model with the cold-start items in its catalogue; nothing is trained."""
    grown = Bert4Rec.for_dataset(
        model.config.model, world_of(ITEMS), model.config.training.task_weights
    )
    grown.item.weight.data.zero_()
    for name, learned in model.network.state_dict().items():
        own = grown.state_dict()[name]
        (own[: len(learned)] if learned.dim() else own).copy_(learned)
    return NetworkScorer(grown, model.config)


def test_cold_start_item_ranks_by_its_metadata(
    model: Artefact, world: PreparedDataset, split: Split
) -> None:
    histories = split.test.histories(world, request_time=True)
    score_BV = with_new_items(model).score(histories).numpy()[:, FIRST_ITEM:]
    np.testing.assert_allclose(
        score_BV[:, :KNOWN], model.scorer().score(histories)[:, FIRST_ITEM:], atol=1e-4
    )
    new_BG, liked_B = score_BV[:, NEW], liked_of(split.test.user_C)
    assert (new_BG.argmax(1) == liked_B).mean() > 0.75  # by chance a quarter
    unliked_BV = np.arange(KNOWN) % GROUPS != liked_B[:, None]
    own_B1 = np.take_along_axis(new_BG, liked_B[:, None], axis=1)
    assert (own_B1 > score_BV[:, :KNOWN])[
        unliked_BV
    ].mean() > 0.75  # before what the user does not like


def nothing_known(gender: int, age_group: int) -> Histories:
    empty = np.empty(0, dtype=np.int64)
    given = {"gender": np.array([gender]), "age_group": np.array([age_group])}
    start_B1, request_time_B = np.array([0, 0]), np.array([NO_TIME])
    return Histories(np.array([UNKNOWN]), start_B1, empty, empty, empty, request_time_B, given)


def listed(score_BV: Tensor) -> np.ndarray:
    return group(FIRST_ITEM + score_BV[0, FIRST_ITEM:].topk(10).indices.numpy())


@pytest.mark.parametrize(("gender", "age_group"), [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_demographics_alone_shift_recommendations_to_the_liked_group(
    model: Artefact, gender: int, age_group: int
) -> None:
    liked = (gender - 1) + 2 * (
        age_group - 1
    )  # gender hints at even or odd, age at which of the two
    share = (listed(model.scorer().score(nothing_known(gender, age_group))) == liked).mean()
    unknown = (listed(model.scorer().score(nothing_known(UNKNOWN, UNKNOWN))) == liked).mean()
    assert share >= 0.5
    assert share > unknown
