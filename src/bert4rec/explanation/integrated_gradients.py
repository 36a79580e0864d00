"""Attribution of an item's score to events by integrated gradients.

It is faster than leaving each event out, and an estimate of it. Integrated gradients (Sundararajan
et al. 2017), by Captum, follow the path on which all events fade in together, from a history whose
tokens hold nothing to the history as it is. Their sum is the score that the events add.

Legend: N events that the scorer reads, X points of the path.
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
"""Points of the path; with half of them the attributions may miss their sum by a tenth."""


def integrated_gradients(scorer: NetworkScorer, history: Histories, item: int) -> Floats:
    """Attribution `[N]` of an item's score to one user's events that are read, oldest first.

    Raises UsageError where Captum is not installed.
    """
    try:
        from captum.attr import IntegratedGradients
    except ImportError as problem:
        raise UsageError("gradients need Captum: pip install 'bert4rec[explain]'") from problem

    def score(weight_XN: Tensor) -> Tensor:
        scores = [
            scorer.score_with_event_weights(history, item, weight_N) for weight_N in weight_XN
        ]
        return torch.stack(scores)

    events = min(len(history.item_N), scorer.seq_length)
    if not events:
        return np.zeros(0)
    method = IntegratedGradients(score)
    gradient_1N = method.attribute(torch.ones(1, events), n_steps=STEPS, internal_batch_size=1)
    return gradient_1N[0].detach().numpy().astype(float)
