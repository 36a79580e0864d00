from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from bert4rec.data.sequences import Sequences
from bert4rec.ids import NO_TIME
from bert4rec.model import attention_bias
from bert4rec.model.attention_bias import AttentionBias
from bert4rec.model.packing import padded_rectangles
from bert4rec.model.temporal import HALF_OCTAVES
from small_networks import SMALL, packed

BY_DISTANCE = replace(SMALL, relative_position=True)
BY_TIME = replace(SMALL, relative_time=True)
BOTH_BIASES = replace(SMALL, relative_position=True, relative_time=True)


def all_positions(bias: AttentionBias, sequences: Sequences) -> Tensor | None:
    """Bias of every query and key position of the first rectangle, `[b or 1, H, L, L]`."""
    rectangle = padded_rectangles(sequences)[0]
    L = rectangle.shape[1]
    return bias(sequences, rectangle, torch.arange(L)[None], L)


def buckets(bias: AttentionBias, sequences: Sequences) -> list[list[int]]:
    """Table rows of queries (down) and keys (across), read off biases that number the rows."""
    for parameter in bias.parameters():
        parameter.data = torch.arange(float(len(parameter)))[:, None].expand_as(parameter)
    found = all_positions(bias, sequences)
    assert found is not None
    return found[0, 0].long().tolist()


def test_distance_bias_has_a_row_for_each_distance_in_events() -> None:
    rows = buckets(AttentionBias(BY_DISTANCE), packed(3))
    longest = SMALL.seq_length + 1  # the start token counts
    assert rows == [[longest + query - key for key in range(3)] for query in range(3)]


def test_every_distance_of_the_longest_sequence_has_a_row_of_its_own() -> None:
    longest = SMALL.seq_length + 1
    rows = buckets(AttentionBias(BY_DISTANCE), packed(longest))
    assert len({row for line in rows for row in line}) == 2 * longest - 1


def test_time_bias_has_half_octaves_of_request_minus_event_into_the_past_and_future() -> None:
    sequences = packed(3, times=[1000, 1001, 1064], request_times=[1001, 1064, 1065])
    assert buckets(AttentionBias(BY_TIME), sequences) == [
        # 1 s ago, now, in 63 s: 1 + floor(2 log2 63) = 12
        [1, 1, HALF_OCTAVES + 12],
        # 64 s ago, 63 s ago, now
        [13, 12, 1],
        # 65 s, 64 s and 1 s ago
        [13, 13, 1],
    ]


def test_query_without_request_time_uses_its_own_time_and_rows_of_its_own() -> None:
    sequences = packed(2, times=[1000, 1064], request_times=[NO_TIME, 1064])
    assert buckets(AttentionBias(BY_TIME), sequences) == [
        [2 * HALF_OCTAVES + 1, 3 * HALF_OCTAVES + 13],
        [13, 1],
    ]


def test_unknown_event_and_request_times_take_the_unknown_rows() -> None:
    sequences = packed(2, times=[NO_TIME, 1064], request_times=[NO_TIME, 1064])
    assert buckets(AttentionBias(BY_TIME), sequences) == [
        [2 * HALF_OCTAVES, 2 * HALF_OCTAVES],
        [0, 1],
    ]


def test_both_biases_add_up() -> None:
    sequences = packed(2, times=[1000, 1064])
    both = torch.tensor(buckets(AttentionBias(BOTH_BIASES), sequences))
    distance, time = (
        torch.tensor(buckets(AttentionBias(config), sequences)) for config in (BY_DISTANCE, BY_TIME)
    )
    assert torch.equal(both, distance + time)


def test_without_either_setting_there_is_no_bias() -> None:
    assert all_positions(AttentionBias(SMALL), packed(3)) is None
    assert not AttentionBias(SMALL).is_active


def test_gpu_variant_gathers_what_the_cpu_variant_selects() -> None:
    table_ZH, bucket_bQL = torch.randn(9, 2, requires_grad=True), torch.randint(0, 9, (3, 4, 5))
    selected = attention_bias._select_bias(table_ZH, bucket_bQL)
    gathered = attention_bias._gather_bias(table_ZH, bucket_bQL)
    assert torch.equal(selected, gathered)
    weight = torch.randn_like(selected)
    gradients = [
        torch.autograd.grad((bias * weight).sum(), table_ZH)[0] for bias in (selected, gathered)
    ]
    torch.testing.assert_close(*gradients)
