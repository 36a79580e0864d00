"""Numbered histories to tensors. Sequences are packed one after another, so no step of the network meets padding.

`causal_sequences` and `masked_sequences` make what the network reads from any `Histories`; `TrainingBatches` draws
windows, masks and targets. Both go through the same functions, so that serving reads exactly what training read.

A causal sequence is `MASK, e_1, …, e_n`: a start token and the events; the state of each token answers for the event
that follows it. A bidirectional sequence is the events, some replaced by MASK; a MASK's state answers for its place.

Legend: B sequences, T tokens of all of them together, S supervised tokens, N rated ones of these, C coming events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from bert4rec.config import ModelConfig, TrainingConfig
from bert4rec.data.arrays import Ints, offsets, stretches
from bert4rec.data.histories import Histories
from bert4rec.data.prepared import PreparedDataset
from bert4rec.data.splits import Split, without_cold_item_events
from bert4rec.data.windows import Windows, training_windows, with_cold_start_windows
from bert4rec.ids import MASK, NO_RATING, NO_TIME, PAD, UNKNOWN

UPCOMING_EVENTS = 10
"""How far the user-preference task looks ahead."""


class TensorRecord:
    """A frozen dataclass of tensors that moves as one."""

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """The same on another device."""
        return self.each(lambda value: value.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """The same in page-locked memory."""
        return self.each(lambda value: value.pin_memory())

    def tensors(self) -> list[Tensor]:
        """All of its tensors, in the order in which `each` meets them."""
        found: list[Tensor] = []

        def note(value: Tensor) -> Tensor:
            found.append(value)
            return value

        self.each(note)
        return found

    def each(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same with every tensor changed."""
        names = [entry.name for entry in fields(self)]  # type: ignore[arg-type]
        return replace(self, **{name: _apply(getattr(self, name), change) for name in names})  # type: ignore[type-var]


def _apply(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, TensorRecord):
        return value.each(change)
    if isinstance(value, Mapping):
        return {key: _apply(entry, change) for key, entry in value.items()}
    return value


@dataclass(frozen=True)
class Sequences(TensorRecord):
    """B token sequences, packed: what the network reads."""

    item_T: Tensor
    """Item rows; MASK where the item is to be guessed."""
    time_T: Tensor
    """When each event happened (int64 seconds); NO_TIME where unknown."""
    rating_T: Tensor
    """Rating rows; NO_RATING where unknown or hidden."""
    request_time_T: Tensor
    """When the answer of each token is asked for; NO_TIME where unknown."""
    position_T: Tensor
    """Place in the sequence, from 0."""
    row_T: Tensor
    """Which of the B sequences."""
    user_B: Tensor
    """User rows; UNKNOWN for people the model never saw."""
    length_B: Tensor
    """Tokens of each sequence."""
    lengths: tuple[int, ...]
    """Places of each sequence: one for each token, and in a rectangle more behind them."""
    user_features: Mapping[str, Tensor] = field(default_factory=dict)
    """Value rows `[B]` in place of the user's stored ones."""

    @property
    def last_B(self) -> Tensor:
        """The index of each sequence's last token."""
        end_B = torch.tensor(self.lengths).cumsum(0)
        return (end_B - torch.tensor(self.lengths)).to(self.item_T.device) + self.length_B - 1


@dataclass(frozen=True)
class Supervised(TensorRecord):
    """Sequences and what some of their tokens must answer."""

    sequences: Sequences
    token_S: Tensor
    """Indices of the supervised tokens."""
    item_S: Tensor
    """The item each must name; PAD where it need not answer."""
    rating_S: Tensor
    """The rating that item got; NO_RATING where there is none."""
    rated_N: Tensor
    """Which of the supervised tokens are asked for a rating: those that got one, and in a rectangle all."""


@dataclass(frozen=True)
class UpcomingEvents(TensorRecord):
    """For one token of every sequence, what the user does next."""

    token_B: Tensor
    """Index of the token that looks ahead."""
    item_BC: Tensor
    """The coming events' items, PAD where the history ends."""


@dataclass(frozen=True)
class Batch(TensorRecord):
    """One training step: the causal and the bidirectional reading of the same windows; None where a task is off."""

    causal: Supervised | None
    masked: Supervised | None
    coming: UpcomingEvents | None
    events: int
    """Real events in the batch, for the rate."""


def causal_sequences(histories: Histories, seq_length: int) -> Sequences:
    """Start token and the last `seq_length` events of each history; every token asks for the event that follows.

    A token's answer is asked for when the next event happens, the last one's at the request. Where the time of the
    request is unknown no token knows when it is asked: in training as when serving.
    """
    recent = last_events(histories, seq_length)
    start_B = recent.start_B1[:-1]
    first_B = start_B + np.arange(len(recent))
    asked_T = _shifted(np.insert(recent.time_N, start_B, NO_TIME), first_B, recent.request_time_B)
    timed_T = np.repeat(recent.request_time_B != NO_TIME, recent.length_B + 1)
    return _pack(
        recent,
        item_T=np.insert(recent.item_N, start_B, MASK),
        time_T=np.insert(recent.time_N, start_B, NO_TIME),
        rating_T=np.insert(recent.rating_N, start_B, NO_RATING),
        request_time_T=np.where(timed_T, asked_T, NO_TIME),
        length_B=recent.length_B + 1,
    )


def masked_sequences(histories: Histories, seq_length: int) -> Sequences:
    """The last `seq_length` − 1 events of each history and a MASK that carries the time of the request."""
    recent = last_events(histories, seq_length - 1)
    end_B = recent.start_B1[1:]
    time_T = np.insert(recent.time_N, end_B, recent.request_time_B)
    return _pack(
        recent,
        item_T=np.insert(recent.item_N, end_B, MASK),
        time_T=time_T,
        rating_T=np.insert(recent.rating_N, end_B, NO_RATING),
        request_time_T=time_T,
        length_B=recent.length_B + 1,
    )


def last_events(histories: Histories, count: int) -> Histories:
    """The same histories, cut to their most recent events."""
    if not len(histories) or histories.length_B.max() <= count:
        return histories
    length_B = np.minimum(histories.length_B, count)
    kept_N = stretches(histories.start_B1[1:] - length_B, length_B)
    return replace(
        histories,
        start_B1=offsets(length_B),
        item_N=histories.item_N[kept_N],
        time_N=histories.time_N[kept_N],
        rating_N=histories.rating_N[kept_N],
    )


def _shifted(time_T: Ints, first_B: Ints, last_B: Ints) -> Ints:
    """Each token takes the time of the token after it, the last of a sequence the given one."""
    shifted_T = np.empty_like(time_T, dtype=np.int64)
    shifted_T[:-1] = time_T[1:]
    shifted_T[np.append(first_B[1:], len(time_T)) - 1] = last_B
    return shifted_T


def _pack(histories: Histories, *, length_B: Ints, **token_arrays: Ints) -> Sequences:
    start_B = np.cumsum(length_B) - length_B
    user_B, given = user_tensors(histories)
    return Sequences(
        **{name: _long(array) for name, array in token_arrays.items()},
        position_T=_long(np.arange(length_B.sum()) - np.repeat(start_B, length_B)),
        row_T=_long(np.repeat(np.arange(len(length_B)), length_B)),
        user_B=user_B,
        length_B=_long(length_B),
        lengths=tuple(length_B.tolist()),
        user_features=given,
    )


def user_tensors(histories: Histories) -> tuple[Tensor, dict[str, Tensor]]:
    """The users' rows `[B]`, and what their features are said to be, by name."""
    return _long(histories.user_B), {
        name: _exact(row_B) for name, row_B in histories.user_features.items()
    }


def _exact(value_B: NDArray[Any]) -> Tensor:
    """Value rows as int64; numbers stay numbers."""
    return (
        torch.from_numpy(value_B.astype(np.float32))
        if value_B.dtype.kind == "f"
        else _long(value_B)
    )


def _long(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.int64))


class TrainingBatches(Dataset[Batch]):
    """Batch number → `Batch`, for one epoch. The same seed, epoch and number give the same batch in any process."""

    def __init__(
        self,
        dataset: PreparedDataset,
        split: Split,
        model: ModelConfig,
        training: TrainingConfig,
        shards: int = 1,
        fixed_shape: bool = False,
    ) -> None:
        self.dataset, self.split = without_cold_item_events(dataset, split)
        self.model, self.training, self.shards = model, training, shards
        self.fixed_shape = fixed_shape
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Draw the epoch's windows and their order."""
        self.epoch = epoch
        self.windows = training_windows(self.dataset, self.split, self.model, self.training, epoch)
        self.order = np.random.default_rng((self.training.seed, epoch, 2)).permutation(
            len(self.windows)
        )

    def __len__(self) -> int:
        """Batches of one device in an epoch, none larger than `batch_size`."""
        return -(-len(self.windows) // (self.training.batch_size * self.shards))

    def __getitem__(self, number: int) -> Batch:
        """The batch with this number among those of all devices."""
        # The windows are dealt out evenly, so that the few left over do not make a batch of their own.
        chosen = np.array_split(self.order, len(self) * self.shards)[number]
        random = np.random.default_rng((self.training.seed, self.epoch, 3, number))
        windows = self.windows.take(chosen)
        windows = with_cold_start_windows(
            windows, self.dataset, self.split, self.model, self.training, random
        )
        timed_B = random.random(len(windows)) < TIMED_SHARE[self.model.request_time]
        weights = self.training.task_weights
        causal = self._causal(windows, timed_B) if weights.next_item else None
        masked = self._masked(windows, timed_B, random) if weights.item_prediction else None
        read = causal or masked
        coming = None
        if weights.user_preference and read:
            coming = self._coming(read.sequences, causal is not None, windows, random)
        batch = Batch(causal, masked, coming, events=int((windows.stop_W - windows.start_W).sum()))
        return (
            pad_to_fixed_shape(batch, self.training.batch_size, self.model.seq_length)
            if self.fixed_shape
            else batch
        )

    def _causal(self, windows: Windows, timed_B: NDArray[np.bool_]) -> Supervised:
        """Every token of the causal sequence is asked for the event after it."""
        start_B, stop_B = windows.start_W, windows.stop_W
        asked_at_B = np.where(timed_B, self.dataset.time_N[stop_B - 1], NO_TIME)
        histories = self.dataset.histories(
            windows.user_W, stop_B - 1, asked_at_B, start_B, windows.cold_user_W
        )
        sequences = causal_sequences(histories, self.model.seq_length)
        event_T = stretches(start_B, stop_B - start_B)
        return self._asked(sequences, np.arange(len(event_T)), event_T)

    def _masked(
        self, windows: Windows, timed_B: NDArray[np.bool_], random: np.random.Generator
    ) -> Supervised:
        """Some events, and always the last, are replaced by MASK and asked for; their ratings are hidden."""
        stop_B = windows.stop_W
        start_B = np.maximum(windows.start_W, stop_B - self.model.seq_length)
        length_B = stop_B - start_B
        histories = self.dataset.histories(
            windows.user_W, stop_B, start_B=start_B, cold_user_B=windows.cold_user_W
        )
        hidden_T = random.random(length_B.sum()) < self.training.mask_probability
        hidden_T[np.cumsum(length_B) - 1] = True
        time_T = np.where(hidden_T & ~np.repeat(timed_B, length_B), NO_TIME, histories.time_N)
        sequences = _pack(
            histories,
            item_T=np.where(hidden_T, MASK, histories.item_N),
            time_T=time_T,
            rating_T=np.where(hidden_T, NO_RATING, histories.rating_N),
            request_time_T=time_T,
            length_B=length_B,
        )
        token_S = np.flatnonzero(hidden_T)
        event_T = stretches(start_B, length_B)
        return self._asked(sequences, token_S, event_T[token_S])

    def _asked(self, sequences: Sequences, token_S: Ints, event_S: Ints) -> Supervised:
        """Sequences whose tokens are asked for events; for their ratings too, if anybody learns from these."""
        rating_S = np.asarray(self.dataset.rating_N[event_S])
        if not self.training.task_weights.rating_prediction:
            rating_S = np.full_like(rating_S, NO_RATING)
        item_S, rated_N = self.dataset.item_N[event_S], np.flatnonzero(rating_S != NO_RATING)
        return Supervised(sequences, _long(token_S), _long(item_S), _long(rating_S), _long(rated_N))

    def _coming(
        self, sequences: Sequences, causal: bool, windows: Windows, random: np.random.Generator
    ) -> UpcomingEvents:
        """One token of each sequence, and the items of its event and of those after it, in training only.

        Any token of a causal sequence; of one that is read from both sides the last: only its future is out of sight.
        """
        length_B = np.asarray(sequences.lengths)
        place_B = random.integers(0, length_B) if causal else length_B - 1
        token_B = np.cumsum(length_B) - length_B + place_B
        # In both readings a token at place p is asked for the event `tokens − p` before the end of the window.
        event_B = windows.stop_W - length_B + place_B
        event_BC = event_B[:, None] + np.arange(UPCOMING_EVENTS)
        end_B1 = np.asarray(self.split.train_stop_U)[windows.user_W][:, None]
        item_BC = np.where(
            event_BC < end_B1, self.dataset.item_N[np.minimum(event_BC, end_B1 - 1)], PAD
        )
        return UpcomingEvents(_long(token_B), _long(item_BC))


def pad_to_fixed_shape(batch: Batch, rows: int, seq_length: int) -> Batch:
    """The same batch with as many sequences and places as any batch may have: all then have tensors of one shape.

    What is added is asked for nothing, and no other token sees it.
    """
    coming = batch.coming
    if coming is not None:
        read, places = (
            (batch.causal, seq_length + 1) if batch.causal else (batch.masked, seq_length)
        )
        assert read is not None
        slot_T = read.sequences.row_T * places + read.sequences.position_T
        coming = UpcomingEvents(
            _filled(rows, 0, slot_T[coming.token_B]), _filled(rows, PAD, coming.item_BC)
        )
    return replace(
        batch,
        causal=None if batch.causal is None else _rectangle(batch.causal, rows, seq_length + 1),
        masked=None if batch.masked is None else _rectangle(batch.masked, rows, seq_length),
        coming=coming,
    )


def _rectangle(read: Supervised, rows: int, places: int) -> Supervised:
    tokens, every_T = read.sequences, torch.arange(rows * places)
    slot_T = tokens.row_T * places + tokens.position_T
    slot_S = slot_T[read.token_S]

    def laid(fill: int, value: Tensor, slot: Tensor = slot_T) -> Tensor:
        return value.new_full((rows * places,), fill).index_copy(0, slot, value)

    sequences = Sequences(
        item_T=laid(PAD, tokens.item_T),
        time_T=laid(NO_TIME, tokens.time_T),
        rating_T=laid(NO_RATING, tokens.rating_T),
        request_time_T=laid(NO_TIME, tokens.request_time_T),
        position_T=every_T % places,
        row_T=every_T // places,
        user_B=_filled(rows, UNKNOWN, tokens.user_B),
        length_B=_filled(rows, 0, tokens.length_B),
        lengths=(places,) * rows,
        user_features={
            name: _filled(rows, UNKNOWN, value_B) for name, value_B in tokens.user_features.items()
        },
    )
    item_T, rating_T = laid(PAD, read.item_S, slot_S), laid(NO_RATING, read.rating_S, slot_S)
    return Supervised(sequences, every_T, item_T, rating_T, every_T)


def _filled(rows: int, fill: int, value_B: Tensor) -> Tensor:
    """The values of all rows, `fill` in those that were added."""
    return torch.cat([value_B, value_B.new_full((rows - len(value_B), *value_B.shape[1:]), fill)])


TIMED_SHARE: dict[str, float] = {"never": 0.0, "sometimes": 0.5, "always": 1.0}
"""How many requests are told when they are made, by the setting `request_time`."""


class EpochOrder(Sampler[int]):
    """The batch numbers of one device: every `shards`-th, from its own rank on."""

    def __init__(self, batches: TrainingBatches, rank: int) -> None:
        self.batches, self.rank = batches, rank

    def set_epoch(self, epoch: int) -> None:
        """Draw the windows of this epoch; the training loop calls it before each one."""
        self.batches.start_epoch(epoch)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.rank, len(self.batches) * self.batches.shards, self.batches.shards))
