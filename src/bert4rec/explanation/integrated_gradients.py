"""Which past events carry an item, by gradients: faster than leaving each event out, and an estimate of it.

Integrated gradients (Sundararajan et al. 2017) by Captum, along the way on which all events fade in together, from a
history without any (its tokens hold nothing) to the one that is. Their sum is the score that the events add.

Legend: E events that are read, T tokens, X points on the way.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bert4rec.data.arrays import Floats
from bert4rec.data.histories import Histories
from bert4rec.errors import UsageError
from bert4rec.model.scorer import NetworkScorer

STEPS = 32
"""Points on the way; with half of them the parts may miss the whole by a tenth."""


def integrated_gradients(scorer: NetworkScorer, history: Histories, item: int) -> Floats:
    """What each event that is read adds to the item's score, `[E]`, oldest first. One user's history.

    Raises UsageError where Captum is not installed.
    """
    try:
        from captum.attr import IntegratedGradients
    except ImportError as problem:
        raise UsageError("gradients need Captum: pip install 'bert4rec[explain]'") from problem

    def score(shown_XE: Tensor) -> Tensor:
        return torch.stack(
            [scorer.score_with_event_weights(history, item, shown_E) for shown_E in shown_XE]
        )

    events = min(len(history.item_N), scorer.seq_length)
    if not events:
        return np.zeros(0)
    everything_1E = torch.ones(1, events)
    found_1E = IntegratedGradients(score).attribute(
        everything_1E, n_steps=STEPS, internal_batch_size=1
    )
    return found_1E[0].detach().numpy().astype(float)
