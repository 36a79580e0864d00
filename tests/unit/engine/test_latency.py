"""Latency: batch sizes that are measured, and made-up catalogues. No test asserts a time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bert4rec import artefact
from bert4rec.artefact import Artefact
from bert4rec.data.dataset import PreparedDataset
from bert4rec.engine import latency
from bert4rec.engine.latency import measure_latency, with_made_up_items
from bert4rec.ids import FIRST_ITEM
from bert4rec.training import train as fit
from small_runs import run_of


@pytest.mark.parametrize("cosine_head", [True, False])
def test_made_up_items_leave_the_scores_of_real_ones(
    world: PreparedDataset, tmp_path: Path, cosine_head: bool
) -> None:
    run = run_of(cosine_head=cosine_head, max_epochs=1)
    scorer = artefact.load(
        fit.train(world, run, tmp_path / "model", log=lambda line: None)
    ).scorer()
    larger, histories = (
        with_made_up_items(scorer, 1000),
        world.histories(torch.arange(1, 5).numpy(), world.start_U1[2:6]),
    )
    before, after = scorer.score(histories), larger.score(histories)
    assert after.shape == (4, FIRST_ITEM + 1000)
    torch.testing.assert_close(after[:, : before.shape[1]], before)
    made_up_VD = larger.item_VD[before.shape[1] :]
    for column_V, known_V in zip(made_up_VD.T, scorer.item_VD[FIRST_ITEM:].T, strict=True):
        assert set(column_V.tolist()) <= set(known_V.tolist())
    assert len(made_up_VD.unique(dim=0)) > 900


def test_every_batch_size_that_fits_is_measured(
    model: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latency, "BATCH_SECONDS", 0.0)
    monkeypatch.setattr(latency, "SCORES_AT_ONCE", 8 * (24 + FIRST_ITEM))
    found = measure_latency(model.scorer(), model.dataset, requests=3, batch_sizes=[1, 8, 9])
    assert found.items == 24
    assert found.users_per_second.keys() == {1, 8}
    assert 0 < found.milliseconds["p50"] <= found.milliseconds["p95"] <= found.milliseconds["p99"]
    assert found.to_dict()["users_per_second"].keys() == {"1", "8"}
