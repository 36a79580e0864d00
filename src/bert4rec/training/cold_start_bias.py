"""Fit of the cold-start biases after training: a logistic regression over items.

The biases are added to the network's scores. Training users are scored as cold-start users, without
events and without their ids. The targets are their first events. Each user counts twice: with all
demographics and with none. The regression is convex and has a prior, so its solution is unique
(docs/decisions/0016).

Legend: U users, B those of a batch, V item rows, I items with a bias, F indicators of user
features, N first events of all users, X cold-start items.
"""

from __future__ import annotations

import math

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
MAX_USERS = 10_000
SHRINKAGE = 0.5
"""Weight of the prior: cost of a bias's square, in users."""
STEPS = 100
"""Maximum number of L-BFGS iterations."""
RANDOM_STREAM = 4
"""Number of this module's random stream, beside the seed of the run."""


def fit_cold_start_bias(scorer: NetworkScorer, dataset: PreparedDataset, split: Split) -> None:
    """Fit the cold-start biases of the scorer's network to the first events of training users."""
    cold_start_bias = scorer.network.cold_start_bias
    cold_start_bias.reset()
    cold_item_X = split.cold_start_item_rows(dataset)
    dataset, split = without_held_out_items(dataset, split)
    user_U, start_U, length_U = _first_events(dataset, split)
    item_N = dataset.item_N[range_indices(start_U, length_U)]
    item_I = _most_frequent(item_N)
    histories = _cold_start_histories(scorer, dataset, user_U, start_U, length_U)
    score_UI, rest_U = _scores(scorer, histories, item_I, cold_item_X)
    target_UI = _target_shares(item_N, length_U, item_I)
    values = scorer.user_feature_values(histories)
    indicator_UF = cold_start_bias.indicators(values, len(histories)).cpu()
    bias_FI = _regression(score_UI, rest_U, target_UI, indicator_UF)
    cold_start_bias.get_buffer("item_I")[: len(item_I)] = torch.from_numpy(item_I)
    cold_start_bias.get_buffer("bias_FI")[:, : len(item_I)] = bias_FI


def _first_events(dataset: PreparedDataset, split: Split) -> tuple[Ints, Ints, Ints]:
    """User rows, start and number of their first events, for a sample of users, each twice."""
    start_U, stop_U = np.asarray(dataset.start_U1[:-1]), np.asarray(split.train_stop_U)
    trained_U: Ints = np.flatnonzero(stop_U > start_U)
    step = math.ceil(len(trained_U) / MAX_USERS)
    user_U = np.tile(trained_U[::step], 2)
    length_U = np.minimum(stop_U[user_U] - start_U[user_U], COLD_START_RANGE)
    return user_U, start_U[user_U], length_U


def _most_frequent(item_N: Ints) -> Ints:
    """Items with the most events; at equal counts, lower rows first."""
    count_V = np.bincount(item_N)
    size = min(MAX_ITEMS, np.count_nonzero(count_V))
    return np.argsort(-count_V, kind="stable")[:size]


def _cold_start_histories(
    scorer: NetworkScorer, dataset: PreparedDataset, user_U: Ints, start_U: Ints, length_U: Ints
) -> Histories:
    """Empty histories at the time of one of the user's first events, or without request time.

    The first half has all demographics, the second half none.
    """
    random = np.random.default_rng((scorer.config.training.seed, RANDOM_STREAM))
    request_time_U = dataset.time_N[random.integers(start_U, start_U + length_U)]
    share = REQUEST_TIME_SHARE[scorer.config.model.request_time]
    request_time_U = np.where(random.random(len(user_U)) < share, request_time_U, NO_TIME)
    cold_start_U = np.ones(len(user_U), dtype=np.bool_)
    histories = dataset.histories(user_U, start_U, request_time_U, is_cold_start_B=cold_start_U)
    second_half_U = np.arange(len(user_U)) >= len(user_U) // 2
    for value_U in histories.user_features.values():
        value_U[second_half_U] = np.nan if value_U.dtype.kind == "f" else UNKNOWN
    return histories


def _scores(
    scorer: NetworkScorer, histories: Histories, item_I: Ints, cold_item_X: Ints
) -> tuple[Tensor, Tensor]:
    """Scores of the items with a bias, `[U, I]`, and log-sum-exp of all other scores, `[U]`.

    Cold-start items are left out: no training event could have chosen them.
    """
    own, rest = [], []
    for first in range(0, len(histories), BATCH_SIZE):
        index_B = np.arange(first, min(first + BATCH_SIZE, len(histories)))
        score_BV = valid_scores(scorer, histories.take(index_B)).cpu()
        own.append(score_BV[:, item_I])
        score_BV[:, np.concatenate([item_I, cold_item_X])] = EXCLUDED
        rest.append(score_BV[:, FIRST_ITEM:].logsumexp(1))
    return torch.cat(own), torch.cat(rest)


def _target_shares(item_N: Ints, length_U: Ints, item_I: Ints) -> Tensor:
    """Share of each item in a user's first events, `[U, I]`; other items have no column."""
    other = len(item_I)
    column_V = np.full(item_N.max() + 1, other)
    column_V[item_I] = np.arange(len(item_I))
    count_UI = np.zeros((len(length_U), len(item_I) + 1), dtype=np.float32)
    user_N = np.repeat(np.arange(len(length_U)), length_U)
    np.add.at(count_UI, (user_N, column_V[item_N]), 1)
    return torch.from_numpy(count_UI[:, :other] / length_U[:, None].astype(np.float32))


def _regression(
    score_UI: Tensor, rest_U: Tensor, target_UI: Tensor, indicator_UF: Tensor
) -> Tensor:
    """Biases `[F, I]` of largest posterior: cross-entropy of the targets and a Gaussian prior."""
    bias_FI = torch.zeros(indicator_UF.shape[1], score_UI.shape[1], requires_grad=True)
    solver = torch.optim.LBFGS([bias_FI], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        logit_UI = score_UI + indicator_UF @ bias_FI
        total_U = torch.logaddexp(logit_UI.logsumexp(1), rest_U)
        # The terms of items without a bias are constant.
        log_likelihood_U = (target_UI * logit_UI).sum(1) - total_U
        prior = SHRINKAGE * bias_FI.square().sum()
        mean_loss = (prior - log_likelihood_U.sum()) / len(score_UI)
        mean_loss.backward()
        return mean_loss

    solver.step(loss)
    return bias_FI.detach()
