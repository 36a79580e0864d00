"""Training batches, drawn reproducibly from seed, epoch and batch number.

Windows are cut in `windows`, token sequences are made in `sequences`.

Legend: A upcoming events, B sequences, S supervised tokens, T tokens of all sequences, W windows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Dataset, Sampler

from bert4rec.config import ModelConfig, TrainingConfig
from bert4rec.data.arrays import Ints, Mask, range_indices
from bert4rec.data.batches import Batch, Supervised, UpcomingEvents
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.padding import pad_to_fixed_shape
from bert4rec.data.sequences import Sequences, causal_sequences, int64_tensor, pack_sequences
from bert4rec.data.splits import Split, without_held_out_items
from bert4rec.data.windows import Windows, training_windows, with_cold_start_windows
from bert4rec.ids import MASK, NO_RATING, NO_TIME, PAD

UPCOMING_EVENTS = 10
"""Events that the user-preference task looks ahead."""

REQUEST_TIME_SHARE: dict[str, float] = {"never": 0.0, "sometimes": 0.5, "always": 1.0}
"""Share of sequences with a known request time, by the setting `request_time`."""


class TrainingBatches(Dataset[Batch]):
    """Map from batch number to `Batch` for one epoch, the same in every process.

    Args:
        dataset: Events to train on.
        split: Training events of each user.
        model: Sequence length and use of request times.
        training: Seed, batch size, windows, masking and task weights.
        shards: Number of devices that share an epoch.
        fixed_shape: Pad all batches to one shape, as CUDA graphs need it.
    """

    def __init__(
        self,
        dataset: PreparedDataset,
        split: Split,
        model: ModelConfig,
        training: TrainingConfig,
        shards: int = 1,
        fixed_shape: bool = False,
    ) -> None:
        self.dataset, self.split = without_held_out_items(dataset, split)
        self.model = model
        self.training = training
        self.shards = shards
        self.fixed_shape = fixed_shape
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Draw the epoch's windows and their order."""
        self.epoch = epoch
        self.windows = training_windows(self.dataset, self.split, self.model, self.training, epoch)
        # The last number tells random streams apart: 1 windows, 2 their order, 3 one batch.
        random = np.random.default_rng((self.training.seed, epoch, 2))
        self.order = random.permutation(len(self.windows))

    def __len__(self) -> int:
        """Batches of one device in an epoch, none larger than `batch_size`."""
        return -(-len(self.windows) // (self.training.batch_size * self.shards))

    def __getitem__(self, number: int) -> Batch:
        """Batch `number` among those of all devices."""
        random = np.random.default_rng((self.training.seed, self.epoch, 3, number))
        windows = self._windows(number, random)
        is_timed_B = random.random(len(windows)) < REQUEST_TIME_SHARE[self.model.request_time]
        weights = self.training.task_weights
        causal = self._causal(windows, is_timed_B) if weights.next_item else None
        masked = self._masked(windows, is_timed_B, random) if weights.item_prediction else None
        upcoming = None
        if weights.user_preference and causal is not None:
            upcoming = self._upcoming(windows, random, causal.sequences, any_token=True)
        elif weights.user_preference and masked is not None:
            upcoming = self._upcoming(windows, random, masked.sequences, any_token=False)
        batch = Batch(causal, masked, upcoming, events=int(windows.length_W.sum()))
        if not self.fixed_shape:
            return batch
        return pad_to_fixed_shape(batch, self.training.batch_size, self.model.seq_length)

    def _windows(self, number: int, random: np.random.Generator) -> Windows:
        """Windows of one batch, cold-start ones included."""
        # Windows are divided evenly, so that a remainder does not make a small batch of its own.
        chosen_W = np.array_split(self.order, len(self) * self.shards)[number]
        windows = self.windows.take(chosen_W)
        return with_cold_start_windows(
            windows, self.dataset, self.split, self.model, self.training, random
        )

    def _causal(self, windows: Windows, is_timed_B: Mask) -> Supervised:
        """Causal sequences; every token predicts the event after it."""
        last_event_B = windows.stop_W - 1
        request_time_B = np.where(is_timed_B, self.dataset.time_N[last_event_B], NO_TIME)
        histories = self.dataset.histories(
            windows.user_W, last_event_B, request_time_B, windows.start_W, windows.is_cold_start_W
        )
        event_T = range_indices(windows.start_W, windows.length_W)
        return self._supervised(
            causal_sequences(histories, self.model.seq_length),
            token_S=np.arange(len(event_T)),
            event_S=event_T,
        )

    def _masked(
        self, windows: Windows, is_timed_B: Mask, random: np.random.Generator
    ) -> Supervised:
        """Masked sequences: random positions, and always the last, are masked and predicted."""
        stop_B = windows.stop_W
        start_B = np.maximum(windows.start_W, stop_B - self.model.seq_length)
        length_B = stop_B - start_B
        histories = self.dataset.histories(
            windows.user_W, stop_B, start_B=start_B, is_cold_start_B=windows.is_cold_start_W
        )
        is_masked_T = random.random(length_B.sum()) < self.training.mask_probability
        # Serving predicts the event after the last one, so the last is always masked.
        is_masked_T[np.cumsum(length_B) - 1] = True
        hides_time_T = is_masked_T & ~np.repeat(is_timed_B, length_B)
        time_T = np.where(hides_time_T, NO_TIME, histories.time_N)
        sequences = pack_sequences(
            histories,
            length_B,
            item_T=np.where(is_masked_T, MASK, histories.item_N),
            time_T=time_T,
            rating_T=np.where(is_masked_T, NO_RATING, histories.rating_N),
            request_time_T=time_T,
        )
        token_S = np.flatnonzero(is_masked_T)
        event_T = range_indices(start_B, length_B)
        return self._supervised(sequences, token_S, event_T[token_S])

    def _supervised(self, sequences: Sequences, token_S: Ints, event_S: Ints) -> Supervised:
        """Sequences whose tokens predict the given events; ratings only if they are trained."""
        rating_S = np.asarray(self.dataset.rating_N[event_S])
        if not self.training.task_weights.rating_prediction:
            rating_S = np.full_like(rating_S, NO_RATING)
        return Supervised(
            sequences,
            token_S=int64_tensor(token_S),
            item_S=int64_tensor(self.dataset.item_N[event_S]),
            rating_S=int64_tensor(rating_S),
            rated_N=int64_tensor(np.flatnonzero(rating_S != NO_RATING)),
        )

    def _upcoming(
        self, windows: Windows, random: np.random.Generator, sequences: Sequences, any_token: bool
    ) -> UpcomingEvents:
        """Training items from the target of one token per sequence on.

        Any token of a causal sequence may look ahead. Of a masked one only the last may: the
        others' future is visible.
        """
        length_B = np.asarray(sequences.lengths)
        position_B = random.integers(0, length_B) if any_token else length_B - 1
        token_B = np.cumsum(length_B) - length_B + position_B
        # In both passes, position p predicts the event `length − p` before the window's end.
        event_B = windows.stop_W - length_B + position_B
        event_BA = event_B[:, None] + np.arange(UPCOMING_EVENTS)
        stop_B1 = np.asarray(self.split.train_stop_U)[windows.user_W][:, None]
        item_BA = self.dataset.item_N[np.minimum(event_BA, stop_B1 - 1)]
        item_BA = np.where(event_BA < stop_B1, item_BA, PAD)
        return UpcomingEvents(int64_tensor(token_B), int64_tensor(item_BA))


class EpochOrder(Sampler[int]):
    """Batch numbers of one device: every `shards`-th, from its own rank on."""

    def __init__(self, batches: TrainingBatches, rank: int) -> None:
        self.batches = batches
        self.rank = rank

    def set_epoch(self, epoch: int) -> None:
        """Draw the windows of this epoch; the training loop calls it before each one."""
        self.batches.start_epoch(epoch)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[int]:
        shards = self.batches.shards
        return iter(range(self.rank, len(self.batches) * shards, shards))
