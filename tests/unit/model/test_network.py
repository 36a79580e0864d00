from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from bert4rec.data.batches import Batch
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.sequences import Sequences, causal_sequences
from bert4rec.ids import FIRST_ITEM, MASK, NO_RATING, PAD, UNKNOWN
from bert4rec.model.cold_start_rows import reset_cold_start_rows
from bert4rec.model.initialisation import init_item_bias
from bert4rec.model.network import Bert4Rec
from bert4rec.model.predictions import Predictions
from bert4rec.model.scorer import NetworkScorer
from bert4rec.retrieval.candidates import exclude
from bert4rec.retrieval.ranking import top_k
from bert4rec.training.losses import multi_task_loss
from bert4rec.training.module import value_tables
from small_networks import ALL_TASKS, SMALL, batch_of, network_of, settings
from small_worlds import dataset_of

TINY = {
    "times": [[10**9 + 100 * position for position in range(7)]],
    "ratings": [[1, 2, 3, 4, 5, 1, 2]],
    "genres": [[1], [2], [3], [1], [2], [3], [1]],
}
PASSES = ("causal_SD", "masked_SD")


def tiny() -> PreparedDataset:
    """One user with the events 0, 1, …, 6: 0 … 4 train."""
    return dataset_of(list(range(7)), **TINY)  # type: ignore[arg-type]


def states(network: Bert4Rec, batch: Batch) -> dict[str, Tensor]:
    """Query vectors of the scores, by pass."""
    predictions = network(batch)
    return {name: getattr(predictions, name) for name in PASSES}


def change_genre(network: Bert4Rec, item: int, genre: int) -> None:
    assert network.metadata is not None
    network.metadata.features[0].get_buffer("table_O")[item, 0] = genre


class Leaky(Bert4Rec):
    """Network that leaks: metadata is looked up by the true items, which a batch would carry."""

    true_item_T: Tensor

    def _embed_tokens(self, sequences: Sequences, item_VD: Tensor) -> Tensor:
        assert self.metadata is not None
        return super()._embed_tokens(sequences, item_VD) + self.metadata()[self.true_item_T]


@pytest.mark.parametrize("network_class", [Bert4Rec, Leaky])
def test_masked_item_hides_its_metadata(network_class: type[Bert4Rec]) -> None:
    dataset = tiny()
    masked = batch_of(dataset).masked
    assert masked is not None
    # The last event is always masked, and its item occurs nowhere else.
    hidden = masked.item_S[-1].item()
    assert hidden not in masked.sequences.item_T
    torch.manual_seed(0)
    network = network_class.for_dataset(SMALL, dataset, ALL_TASKS).eval()
    if isinstance(network, Leaky):
        network.true_item_T = masked.sequences.item_T.index_put((masked.token_S,), masked.item_S)
    batch = Batch(None, masked, None, events=5)
    before, output_before_VD = network(batch).masked_SD, network(batch).output_VD
    change_genre(network, hidden, genre=3)
    after = network(batch)
    others = torch.arange(len(output_before_VD)) != hidden
    assert torch.equal(after.output_VD[others], output_before_VD[others])
    moved = not torch.equal(
        before @ output_before_VD[others].T, after.masked_SD @ after.output_VD[others].T
    )
    assert moved == (network_class is Leaky)


def test_next_item_hides_its_metadata() -> None:
    dataset = tiny()
    causal = batch_of(dataset).causal
    network = network_of(dataset).eval()
    assert causal is not None
    before = network(Batch(causal, None, None, events=5)).causal_SD
    change_genre(
        network, causal.item_S[-1].item(), genre=3
    )  # target of the last token, read by none
    assert torch.equal(network(Batch(causal, None, None, events=5)).causal_SD, before)
    # Read by the last token, target of the one before.
    change_genre(network, causal.item_S[-2].item(), genre=2)
    after = network(Batch(causal, None, None, events=5)).causal_SD
    assert torch.equal(after[:-1], before[:-1])
    assert not torch.equal(after[-1], before[-1])


def rated(position: int, rating: int) -> PreparedDataset:
    ratings = [list(TINY["ratings"][0])]
    ratings[0][position] = rating
    return dataset_of(list(range(7)), **{**TINY, "ratings": ratings})  # type: ignore[arg-type]


@pytest.mark.parametrize("pass_name", PASSES)
def test_rating_of_a_target_is_never_an_input(pass_name: str) -> None:
    last_that_trains = 4  # a target of both passes
    low, high = (batch_of(rated(last_that_trains, rating)) for rating in (1, 5))
    network = network_of(tiny()).eval()
    assert torch.equal(states(network, low)[pass_name], states(network, high)[pass_name])
    supervised = getattr(high, pass_name.removesuffix("_SD"))
    assert supervised.rating_S[-1] == 5  # and it is the target


def test_rating_of_a_past_event_is_an_input_of_later_tokens() -> None:
    network = network_of(tiny()).eval()
    low, high = (states(network, batch_of(rated(2, rating)))["causal_SD"] for rating in (1, 5))
    moved = (low != high).any(1)
    # The token of event 2 is the fourth: it predicts event 3.
    assert moved.tolist() == [False, False, False, True, True]


def test_without_rating_input_no_rating_is_read() -> None:
    network = network_of(tiny(), rating_input=False).eval()
    low, high = (states(network, batch_of(rated(2, rating)))["causal_SD"] for rating in (1, 5))
    assert torch.equal(low, high)


def test_unknown_rating_adds_nothing(world: PreparedDataset) -> None:
    network = network_of(world).eval()
    causal = batch_of(world).causal
    assert causal is not None
    assert network.rating is not None
    unrated = replace(causal.sequences, rating_T=torch.zeros_like(causal.sequences.rating_T))
    before = network.encode(unrated, network.item_embeddings(), causal=True)
    network.rating.weight.data[0] = 1e3
    assert torch.equal(network.encode(unrated, network.item_embeddings(), causal=True), before)


def test_pad_and_mask_are_never_recommended_whatever_their_scores(world: PreparedDataset) -> None:
    network = network_of(world, cosine_head=False).eval()
    with torch.no_grad():
        network.item_head.bias_V[[PAD, MASK]] = 1e3  # type: ignore[index]
    score_BV = NetworkScorer(network, settings()).score(
        world.histories(np.array([1, 2]), np.array([5, 20]))
    )
    assert (score_BV.argmax(1) < FIRST_ITEM).all()
    item_BK, _ = top_k(exclude(score_BV, torch.tensor([0]), torch.tensor([PAD])), world.num_items)
    assert item_BK.min() >= FIRST_ITEM


def test_pad_and_mask_are_no_candidates_in_training(world: PreparedDataset) -> None:
    network, batch = network_of(world, cosine_head=False), batch_of(world)
    multi_task_loss(network(batch), batch, ALL_TASKS, value_tables(world)).total.backward()
    assert network.item_head.bias_V is not None
    assert network.item_head.bias_V.grad is not None
    assert network.item_head.bias_V.grad[:FIRST_ITEM].tolist() == [0, 0]
    assert (network.item_head.bias_V.grad[FIRST_ITEM:] != 0).all()


def test_every_task_has_its_predictions(world: PreparedDataset) -> None:
    predictions = network_of(world)(batch_of(world))
    names = Predictions.__dataclass_fields__.keys() - {"bias_V", "cold_item_I"}
    assert all(getattr(predictions, name) is not None for name in names)


OFF = {
    "item_prediction": ("masked_SD", None),
    "next_item": ("causal_SD", None),
    "rating_prediction": ("rating_NR", "rating_head"),
    "user_preference": ("preference_BD", "preference_head"),
}


@pytest.mark.parametrize("task", OFF)
def test_a_task_of_weight_0_has_no_head_and_no_work(task: str, world: PreparedDataset) -> None:
    tasks = replace(ALL_TASKS, **{task: 0.0})
    network = network_of(world, tasks)
    batch = batch_of(world, task_weights=tasks)
    prediction, head = OFF[task]
    predictions = network(batch)
    assert getattr(predictions, prediction) is None
    assert head is None or getattr(network, head) is None
    parts = multi_task_loss(predictions, batch, tasks, value_tables(world)).parts
    assert set(parts) == set(OFF) - {task}


def test_without_ratings_in_the_data_there_is_no_rating_head() -> None:
    unrated = dataset_of(list(range(7)))
    network = network_of(unrated)
    assert (network.rating_head, network.rating) == (None, None)
    assert network(batch_of(unrated)).rating_NR is None


def test_id_dropout_leaves_items_to_their_metadata(world: PreparedDataset) -> None:
    """Id dropout removes the id's part of an item embedding, and the item's bias."""
    network, batch = network_of(world, id_dropout=0.3, cosine_head=False).train(), batch_of(world)
    network.item_head.bias_V.data.fill_(0.5)
    torch.manual_seed(1)
    found = [network(batch) for _ in range(100)]
    hidden_TV = torch.stack([(answers.output_VD == network.metadata()).all(1) for answers in found])
    assert hidden_TV[:, FIRST_ITEM:].float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert not hidden_TV[:, MASK].any()
    assert torch.equal(
        torch.stack([answers.bias_V for answers in found]) == 0,
        hidden_TV & (network.item.weight != 0).any(1),
    )


def test_id_dropout_needs_training_mode_and_metadata(
    world: PreparedDataset,
) -> None:
    network, batch = network_of(world, id_dropout=0.9), batch_of(world)
    assert torch.equal(
        network.eval()(batch).output_VD,
        network.item_head.output_embeddings(network.item.weight + network.metadata()),
    )
    for changes in ({"id_dropout": 0.9, "item_features": False}, {"id_dropout": 0.0}):
        bare = network_of(world, **changes).train()
        assert torch.equal(
            bare(batch).output_VD, bare.item_head.output_embeddings(bare.item_embeddings())
        )


@pytest.mark.parametrize("counts", [[0, 0, 1, 4, 16, 0], [0, 0, 5, 5, 5, 5]])
def test_item_bias_is_initialised_to_the_log_frequency(counts: list[int]) -> None:
    network = network_of(dataset_of([0, 1, 2, 3]), cosine_head=False)
    init_item_bias(network, torch.tensor(counts).float())
    bias_V = network.item_head.bias_V
    chosen = [row for row, count in enumerate(counts) if count]
    assert bias_V[chosen].mean().item() == pytest.approx(0, abs=1e-6)
    shares = bias_V[chosen].exp() / bias_V[chosen].exp().sum()
    assert shares.tolist() == pytest.approx([counts[row] / sum(counts) for row in chosen])
    assert not bias_V[[row for row, count in enumerate(counts) if not count]].any()
    cosine = network_of(dataset_of([0, 1, 2, 3]))
    init_item_bias(cosine, torch.tensor(counts).float())
    assert cosine.item_head.bias_V is None


def test_item_with_zero_embedding_is_placed_by_its_metadata(world: PreparedDataset) -> None:
    network = network_of(world).eval()
    assert network.metadata is not None
    with torch.no_grad():
        network.item.weight[FIRST_ITEM] = 0
    assert torch.equal(network.item_embeddings()[FIRST_ITEM], network.metadata()[FIRST_ITEM])


def grad_of_the_unknown_user(world: PreparedDataset, user_dropout: float) -> float:
    network = network_of(world, user_dropout=user_dropout).train()
    batch = batch_of(world)
    multi_task_loss(network(batch), batch, ALL_TASKS, value_tables(world)).total.backward()
    assert network.user is not None
    assert network.user.user.weight.grad is not None
    return float(network.user.user.weight.grad[UNKNOWN].abs().sum())


def test_user_dropout_trains_the_unknown_user(world: PreparedDataset) -> None:
    assert grad_of_the_unknown_user(world, 0.0) == 0
    assert grad_of_the_unknown_user(world, 0.5) > 0


@pytest.mark.parametrize("block", ["transformer", "gated"])
def test_gradient_checkpointing_changes_neither_loss_nor_gradients(
    world: PreparedDataset, block: str
) -> None:
    batch = batch_of(world)

    def loss_and_gradients(checkpointing: bool) -> tuple[Tensor, dict[str, Tensor]]:
        changes = {
            "block": block,
            "relative_time": True,
            "dropout": 0.2,
            "id_dropout": 0.1,
            "user_dropout": 0.1,
        }
        network = network_of(world, gradient_checkpointing=checkpointing, **changes).train()
        torch.manual_seed(7)
        total = multi_task_loss(network(batch), batch, ALL_TASKS, value_tables(world)).total
        total.backward()
        return total.detach(), {
            name: p.grad for name, p in network.named_parameters() if p.grad is not None
        }

    (kept, kept_grads), (again, again_grads) = loss_and_gradients(False), loss_and_gradients(True)
    assert torch.equal(kept, again)
    assert kept_grads.keys() == again_grads.keys()
    assert all(
        torch.allclose(kept_grads[name], again_grads[name], atol=1e-7) for name in kept_grads
    )


def test_gradient_checkpointing_recomputes_every_block(world: PreparedDataset) -> None:
    def times_run(checkpointing: bool) -> int:
        network, batch, runs = (
            network_of(world, gradient_checkpointing=checkpointing).train(),
            batch_of(world),
            [],
        )
        network.blocks[0].register_forward_pre_hook(lambda *_: runs.append(1))
        multi_task_loss(network(batch), batch, ALL_TASKS, value_tables(world)).total.backward()
        return len(runs)

    assert (times_run(False), times_run(True)) == (2, 4)  # two passes


def test_every_weight_learns_from_one_batch(world: PreparedDataset) -> None:
    network = network_of(
        world, relative_position=True, relative_time=True, cosine_head=False, user_dropout=0.3
    ).train()
    batch = batch_of(world)
    multi_task_loss(network(batch), batch, ALL_TASKS, value_tables(world)).total.backward()
    idle = [
        name
        for name, parameter in network.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.abs().sum())
    ]
    assert idle == []


@pytest.mark.parametrize("block", ["transformer", "gated"])
@pytest.mark.parametrize("pass_name", PASSES)
def test_batch_mates_change_nothing(world: PreparedDataset, pass_name: str, block: str) -> None:
    network = network_of(world, block=block, relative_time=True, relative_position=True).eval()
    users = np.array([1, 2, 3])
    histories = world.histories(users, np.asarray(world.start_U1)[users] + [3, 9, 1])
    together = causal_sequences(histories, SMALL.seq_length)
    causal = pass_name == "causal_SD"
    state_BD = network.encode(together, network.item_embeddings(), causal)[together.last_B]
    for row in range(3):
        one = causal_sequences(histories.take(np.array([row])), SMALL.seq_length)
        by_itself = network.encode(one, network.item_embeddings(), causal)[-1]
        torch.testing.assert_close(state_BD[row], by_itself, atol=1e-5, rtol=1e-4)


def test_each_token_has_its_own_weights_over_user_tokens(world: PreparedDataset) -> None:
    network = network_of(world).eval()
    with torch.no_grad():
        network.item.weight.mul_(5)
    record: dict[str, list[Tensor]] = {}
    histories = world.histories(np.array([2]), np.asarray(world.start_U1)[[2]] + 6)
    network.encode(
        causal_sequences(histories, 8), network.item_embeddings(), causal=True, record=record
    )
    (weight_TJH,) = record["user"]
    assert weight_TJH.shape == (7, 4 + 1, 2)  # id, gender, age, occupation, and the context
    torch.testing.assert_close(weight_TJH.sum(1), torch.ones(7, 2))
    assert weight_TJH.std(0).max() > 1e-3
    assert weight_TJH.std(1).max() > 1e-3


@pytest.mark.parametrize(
    ("how", "reads"), [("cross_attention", True), ("sum", True), ("none", False)]
)
def test_user_is_read_as_the_setting_says(world: PreparedDataset, how: str, reads: bool) -> None:
    network = network_of(world, user_features=how).eval()
    histories = world.histories(
        np.array([1, 2]), np.asarray(world.start_U1)[[1, 1]] + 4, None, np.array([0, 0])
    )
    first, second = NetworkScorer(network, settings()).score(histories)
    assert torch.allclose(first, second, atol=1e-5) is not reads


def test_rating_uses_the_factors_of_the_token_owner(world: PreparedDataset) -> None:
    network, batch = network_of(world).eval(), batch_of(world)
    assert network.rating_head is not None
    assert network.rating_head.factors is not None
    read, factors = batch.causal, network.rating_head.factors
    before_SR = network(batch).rating_NR
    moved = int(read.sequences.user_B[1])
    with torch.no_grad():
        factors.user.weight[moved, :5] += torch.arange(5.0)
    own_S = (
        torch.repeat_interleave(read.sequences.user_B, torch.tensor(read.sequences.lengths))
        == moved
    )
    changed_SR = network(batch).rating_NR - before_SR
    rated_S = read.rating_S != NO_RATING
    torch.testing.assert_close(
        changed_SR, own_S[read.token_S][rated_S][:, None] * torch.arange(5.0), atol=1e-5, rtol=0
    )


def test_rating_factors_drop_users_in_training_alone(
    world: PreparedDataset,
) -> None:
    network, batch = network_of(world, id_dropout=0.5, dropout=0.0), batch_of(world)
    assert network.rating_head is not None
    known: list[torch.Tensor] = []
    network.rating_head.factors.register_forward_pre_hook(lambda _, given: known.append(given[0]))  # type: ignore[union-attr]
    for mode in (True, False):
        network.train(mode)(batch)
    assert 0 < (known[0] == UNKNOWN).sum() < len(known[0])
    assert not (known[1] == UNKNOWN).any()


@pytest.mark.parametrize("cosine_head", [True, False])
def test_cold_start_item_is_its_metadata_and_no_training_candidate(
    cosine_head: bool, world: PreparedDataset
) -> None:
    network = network_of(world, cosine_head=cosine_head, id_dropout=0.1).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1)
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    saved, new = network.state_dict().keys(), torch.tensor([3, 7])
    reset_cold_start_rows(network, torch.tensor([], dtype=torch.long), new)
    assert network.metadata is not None
    torch.testing.assert_close(network.item_embeddings()[new], network.metadata()[new])
    after = dict(network.named_parameters())
    changed = {
        "item.weight",
        "rating_head.factors.item.weight",
        *([] if cosine_head else ["item_head.bias_V"]),
    }
    assert {name for name in before if not before[name].equal(after[name])} == changed
    for name in changed:
        rows = (before[name] != after[name]).reshape(len(before[name]), -1).any(1)
        assert rows.nonzero().flatten().tolist() == new.tolist()
        assert not after[name][new].any()
    assert network(batch_of(world)).cold_item_I.tolist() == new.tolist()  # type: ignore[union-attr]
    assert network.state_dict().keys() == saved  # which items are cold is not saved


@pytest.mark.parametrize(
    "changes", [{"item_features": False, "id_dropout": 0.1}, {"id_dropout": 0.0}]
)
def test_network_without_metadata_placement_keeps_cold_start_rows(
    changes: dict, world: PreparedDataset
) -> None:
    network = network_of(world, **changes)
    before = network.item.weight.clone()
    reset_cold_start_rows(network, torch.tensor([], dtype=torch.long), torch.tensor([3, 7]))
    assert torch.equal(network.item.weight, before)
    assert network(batch_of(world)).cold_item_I is None
