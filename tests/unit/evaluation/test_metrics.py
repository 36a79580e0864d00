import numpy as np
import pytest

from bert4rec.evaluation.metrics import mean_rank_metrics, rank_metrics


def test_ranks_1_2_and_11_by_hand() -> None:
    metrics = rank_metrics(np.array([1, 2, 11]))
    assert metrics["hit@1"].tolist() == [1, 0, 0]
    assert metrics["hit@10"].tolist() == [1, 1, 0]
    assert metrics["hit@20"].tolist() == [1, 1, 1]
    assert metrics["ndcg@5"] == pytest.approx([1, 1 / np.log2(3), 0])
    assert metrics["ndcg@20"] == pytest.approx([1, 1 / np.log2(3), 1 / np.log2(12)])
    assert metrics["mrr"] == pytest.approx([1, 1 / 2, 1 / 11])


@pytest.mark.parametrize("k", [5, 10, 20])
def test_rank_k_counts_and_the_next_does_not(k: int) -> None:
    metrics = rank_metrics(np.array([k, k + 1]))
    assert metrics[f"hit@{k}"].tolist() == [1, 0]
    assert metrics[f"ndcg@{k}"] == pytest.approx([1 / np.log2(k + 1), 0])


def test_mean_metrics_are_means_over_users() -> None:
    summary = mean_rank_metrics(np.array([1, 4]))
    assert summary["hit@1"] == 0.5
    assert summary["mrr"] == pytest.approx((1 + 1 / 4) / 2)
    assert set(summary) == {
        "hit@1",
        "hit@5",
        "hit@10",
        "hit@20",
        "ndcg@5",
        "ndcg@10",
        "ndcg@20",
        "mrr",
    }
