from __future__ import annotations

import pytest
import torch

from bert4rec.data.dataset import PreparedDataset
from bert4rec.ids import FIRST_ITEM
from bert4rec.training.seen_items import SeenItems
from small_networks import batch_of


@pytest.mark.parametrize("name", ["causal", "masked"])
def test_mask_and_pairs_agree(name: str, world: PreparedDataset) -> None:
    read = getattr(batch_of(world), name)
    seen, items, piece = (
        SeenItems(read.sequences, read.token_S, causal=name == "causal"),
        world.num_items,
        slice(3, 40),
    )
    row_P, item_P = seen.pairs(piece)
    by_pair_sI = torch.zeros(37, items, dtype=torch.bool)
    by_pair_sI[row_P, item_P - FIRST_ITEM] = True
    assert by_pair_sI.any()
    assert torch.equal(seen.mask(piece, items), by_pair_sI)
