"""The biases of cold_start_bias: a logistic regression over items beside the network's own scores, after training.

Training users are read as cold_start_bias are, without an event and without their ids, and their first events are what is
asked for: once with all that is known of them, once with nothing. The regression is convex and has a prior, so one
solution is best.

Legend: U users, B those of a piece, V item rows, X items that have a bias, P columns of the biases.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bert4rec.data.arrays import Ints, range_indices
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.data.splits import Split, without_held_out_items
from bert4rec.data.training_batches import REQUEST_TIME_SHARE
from bert4rec.data.windows import COLD_START_RANGE
from bert4rec.ids import FIRST_ITEM, NO_TIME, UNKNOWN
from bert4rec.model.cold_start_bias import MAX_ITEMS
from bert4rec.model.scorer import NetworkScorer
from bert4rec.retrieval.candidates import EXCLUDED, valid_scores

BATCH_SIZE = 64
USERS = 10_000
"""At most so many users are asked."""
SHRINKAGE = 0.5
"""What the square of a bias costs, in users: the weight of the prior by which it is zero."""
STEPS = 100
"""Of L-BFGS, at most."""


def fit_cold_start_bias(scorer: NetworkScorer, dataset: PreparedDataset, split: Split) -> None:
    """Gives the scorer's network the biases with which its scores of cold_start_bias fit the first events of training."""
    cold_start_bias = scorer.network.cold_start_bias
    cold_start_bias.reset()
    new_R = split.cold_start_items(dataset)
    dataset, split = without_held_out_items(dataset, split)
    start_U, stop_U = np.asarray(dataset.start_U1[:-1]), np.asarray(split.train_stop_U)
    user_U: Ints = np.flatnonzero(stop_U > start_U)
    user_U = np.tile(user_U[:: -(-len(user_U) // USERS)], 2)
    start_U = start_U[user_U]
    length_U = np.minimum(stop_U[user_U] - start_U, COLD_START_RANGE)
    item_N = dataset.item_N[range_indices(start_U, length_U)]
    item_X = _most_chosen(item_N)
    asked = _as_newcomers(scorer, dataset, user_U, start_U, length_U)
    score_UX, others_U = _scores(scorer, asked, item_X, new_R)
    share_UX = _shares(item_N, length_U, item_X)
    column_UP = cold_start_bias.indicators(scorer.user_feature_values(asked), len(asked)).cpu()
    cold_start_bias.get_buffer("item_I")[: len(item_X)] = torch.from_numpy(item_X)
    cold_start_bias.get_buffer("bias_FI")[:, : len(item_X)] = _regression(
        score_UX, others_U, share_UX, column_UP
    )


def _most_chosen(item_N: Ints) -> Ints:
    """The items with most of the events; of equally many the lower rows."""
    count_V = np.bincount(item_N)
    return np.argsort(-count_V, kind="stable")[: min(MAX_ITEMS, np.count_nonzero(count_V))]


def _as_newcomers(
    scorer: NetworkScorer, dataset: PreparedDataset, user_U: Ints, start_U: Ints, length_U: Ints
) -> Histories:
    """The users before their first event, asked at one of their events, if at all.

    The first half say all that is known of them, the second nothing.
    """
    model, random = scorer.run.model, np.random.default_rng((scorer.run.training.seed, 4))
    asked_at_U = dataset.time_N[random.integers(start_U, start_U + length_U)]
    asked_at_U = np.where(
        random.random(len(user_U)) < REQUEST_TIME_SHARE[model.request_time], asked_at_U, NO_TIME
    )
    histories = dataset.histories(
        user_U, start_U, asked_at_U, is_cold_start_B=np.ones(len(user_U), dtype=np.bool_)
    )
    silent_U = np.arange(len(user_U)) >= len(user_U) // 2
    for value_U in histories.user_features.values():
        value_U[silent_U] = np.nan if value_U.dtype.kind == "f" else UNKNOWN
    return histories


def _scores(
    scorer: NetworkScorer, histories: Histories, item_X: Ints, new_R: Ints
) -> tuple[Tensor, Tensor]:
    """The scores `[U, X]` of the items that have a bias, and what all others come to (log-sum-exp), `[U]`.

    Of new items nothing trains: that nobody chose them says nothing.
    """
    own, others = [], []
    for first in range(0, len(histories), BATCH_SIZE):
        piece = histories.take(np.arange(first, min(first + BATCH_SIZE, len(histories))))
        score_BV = valid_scores(scorer, piece).cpu()
        own.append(score_BV[:, item_X])
        score_BV[:, np.concatenate([item_X, new_R])] = EXCLUDED
        others.append(score_BV[:, FIRST_ITEM:].logsumexp(1))
    return torch.cat(own), torch.cat(others)


def _shares(item_N: Ints, length_U: Ints, item_X: Ints) -> Tensor:
    """Which share of each user's first events is of which item, `[U, X]`."""
    elsewhere = len(item_X)
    place_V = np.full(item_N.max() + 1, elsewhere)
    place_V[item_X] = np.arange(len(item_X))
    count_UX = np.zeros((len(length_U), len(item_X) + 1), dtype=np.float32)
    np.add.at(count_UX, (np.repeat(np.arange(len(length_U)), length_U), place_V[item_N]), 1)
    return torch.from_numpy(count_UX[:, :elsewhere] / length_U[:, None].astype(np.float32))


def _regression(score_UX: Tensor, others_U: Tensor, share_UX: Tensor, column_UP: Tensor) -> Tensor:
    """The biases `[P, X]` that make the shares most likely, small ones preferred."""
    bias_FI = torch.zeros(column_UP.shape[1], score_UX.shape[1], requires_grad=True)
    solver = torch.optim.LBFGS([bias_FI], max_iter=STEPS, line_search_fn="strong_wolfe")

    def cost() -> Tensor:
        solver.zero_grad()
        logit_UX = score_UX + column_UP @ bias_FI
        all_U = torch.logaddexp(logit_UX.logsumexp(1), others_U)
        likely_U = (share_UX * logit_UX).sum(1) - all_U  # the others' own part never changes
        loss = (SHRINKAGE * bias_FI.square().sum() - likely_U.sum()) / len(score_UX)
        loss.backward()
        return loss

    solver.step(cost)
    return bias_FI.detach()
