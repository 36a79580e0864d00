"""Settings of preparation and training: name, type, default, help text and check of each.

One frozen dataclass for each configured step. Field names are unique across the three classes of a
run, so configuration files and flags are flat: `hidden_size: 64` and `--hidden_size 64`. The
docstring below a field is its `--help` text. Presets, files and flags are read by `presets` and
`cli.flags`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from bert4rec.errors import ConfigError

FOLDS = 5
"""Number of folds of users or items, in splits that have folds."""
FOLDED = ("cold-start-users", "cold-start-items")
"""Splits that have folds."""
SURROUNDINGS = (
    "accelerator",
    "devices",
    "num_workers",
    "pin_memory",
    "logger",
    "use_wandb",
    "cuda_graphs",
    "gradient_checkpointing",
)
"""Settings of the machine and of what leaves it: from flags and files, never from a model."""
_MOST_SHOWN = 80
_WIDEST = 2**16
_LONGEST = 2**20
_MOST_BLOCKS = 2**10
_LARGEST_BATCH = 2**24
_MOST_PROCESSES = 2**12
_LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class ModelConfig:
    """Settings of the network."""

    hidden_size: int = 256
    """Hidden width of the network."""
    num_heads: int = 4
    """Number of attention heads; it must divide hidden_size."""
    num_layers: int = 4
    """Number of transformer blocks."""
    seq_length: int = 50
    """Maximum sequence length, in events; older events are cut off."""
    dropout: float = 0.2
    """Dropout rate."""
    block: Literal["transformer", "gated"] = "transformer"
    """Type of block. transformer: pre-norm softmax attention and feed-forward layer; gated: HSTU's
    SiLU attention with a gate."""
    feed_forward_factor: int = 4
    """Width of the feed-forward layer of a transformer block, in multiples of hidden_size."""
    position: Literal["sinusoidal", "learned", "none"] = "sinusoidal"
    """Absolute position encoding."""
    relative_position: bool = False
    """Learned attention bias by the distance between events, in positions."""
    relative_time: bool = False
    """Learned attention bias by the time between request and event, in half-octave buckets."""
    temporal_embedding: bool = True
    """Embed day of year, weekday, hour and the gap to the previous event in each token."""
    item_features: bool = True
    """Add the metadata of the item table (genres, year, ...) to each item's embedding."""
    rating_input: bool = True
    """Embed the rating of each past event in its token."""
    user_features: Literal["cross_attention", "sum", "none"] = "cross_attention"
    """Input of user id and demographics. cross_attention: tokens that every position attends to;
    sum: one vector added to each token; none: left out."""
    feature_embedding_size: int = 32
    """Embedding width of one item or user feature value, before projection to hidden_size."""
    user_embedding_size: int = 64
    """Embedding width of a user id, before projection to hidden_size."""
    cosine_head: bool = True
    """Score items by cosine similarity times logit_scale; false: by dot product plus item bias."""
    logit_scale: float = 20.0
    """Factor of the cosine similarity (an inverse softmax temperature)."""
    id_dropout: float = 0.1
    """Share of items scored by metadata only in a training step, as cold-start items are; and of
    users whose rating factors are dropped in it."""
    user_dropout: float = 0.1
    """Share of user ids, and of demographic values, replaced by unknown in training."""
    request_time: Literal["never", "sometimes", "always"] = "sometimes"
    """Request time in training. never: unknown; sometimes: known for half of the sequences; always:
    known (requests must then state it)."""
    rating_factor_size: int = 64
    """Width of the rating head's user and item factors, beside the hidden state; 0: no factors."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, a third more time."""
    scoring: Literal["auto", "causal", "masked", "average"] = "auto"
    """State that scores the items. causal: of the last event; masked: of an appended MASK; average:
    mean of both scores; auto: of the trained task, causal first."""

    def __post_init__(self) -> None:
        _check_types(self)
        sizes = (
            "hidden_size",
            "num_heads",
            "num_layers",
            "seq_length",
            "feature_embedding_size",
            "user_embedding_size",
        )
        for name in (*sizes, "feed_forward_factor"):
            _require(getattr(self, name) >= 1, self, name, "1 or more")
        _require(self.rating_factor_size >= 0, self, "rating_factor_size", "0 or more")
        widths = ("hidden_size", "feature_embedding_size", "user_embedding_size")
        _at_most(self, _WIDEST, *widths, "rating_factor_size", "num_heads")
        _at_most(self, _MOST_BLOCKS, "num_layers", "feed_forward_factor")
        _at_most(self, _LONGEST, "seq_length")
        for name in ("dropout", "id_dropout", "user_dropout"):
            _require(0 <= getattr(self, name) < 1, self, name, "0 or more and below 1")
        _require(self.logit_scale > 0, self, "logit_scale", "above 0")
        if self.hidden_size % self.num_heads:
            fitting = self.hidden_size // self.num_heads * self.num_heads or self.num_heads
            raise ConfigError(
                f"hidden_size {self.hidden_size} is not a multiple of num_heads {self.num_heads}: "
                f"take hidden_size {fitting} or other num_heads"
            )


@dataclass(frozen=True)
class TaskWeights:
    """Weight of each task in the loss; a task of weight 0 is not computed."""

    item_prediction: float = 1.0
    """Predict masked items from both sides (BERT4Rec)."""
    next_item: float = 1.0
    """Predict the next item at every position (SASRec)."""
    rating_prediction: float = 0.3
    """Predict the rating of a given next item."""
    user_preference: float = 0.2
    """Predict the items and genres of the upcoming events."""

    def __post_init__(self) -> None:
        _check_types(self)
        for entry in fields(self):
            _require(getattr(self, entry.name) >= 0, self, entry.name, "0 or more")
        if not self.item_prediction and not self.next_item:
            raise ConfigError(
                "task_weights: item_prediction and next_item are both 0: "
                "nothing learns to recommend"
            )


@dataclass(frozen=True)
class SplitConfig:
    """Settings of the split into training, validation and test events."""

    split: Literal["leave-one-out", "global-temporal", "cold-start-users", "cold-start-items"] = (
        "leave-one-out"
    )
    """Test events. leave-one-out: last event of each user; global-temporal: last event of each user
    after a date; cold-start-users: 20th event of users held out of training; cold-start-items: last
    event of each user, with a fifth of the items held out of training."""
    test_share: float = 0.1
    """Share of all events after the test date of global-temporal, and of the earlier ones after its
    validation date."""
    fold: int = 0
    """Held-out fold, 0 to 4. cold-start-users: fold of test users; the next fold validates, the
    others train. cold-start-items: fold of items held out of training."""

    def __post_init__(self) -> None:
        _check_types(self)
        _require(0 < self.test_share < 1, self, "test_share", "between 0 and 1")
        _require(0 <= self.fold < FOLDS, self, "fold", f"a whole number from 0 to {FOLDS - 1}")
        if self.fold and self.split not in FOLDED:
            named = " and ".join(map(repr, FOLDED))
            raise ConfigError(
                f"fold {self.fold} is of the splits {named}, not of {self.split!r}: "
                "leave one of them out"
            )


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of training."""

    batch_size: int = 64
    """Maximum number of sequences in a batch, on each device."""
    learning_rate: float = 1e-4
    """Peak learning rate of AdamW."""
    max_epochs: int = 100
    """Maximum number of epochs, passes over the training users."""
    patience: int = 15
    """Epochs without a better validation NDCG@10 before training stops."""
    task_weights: TaskWeights = field(default_factory=TaskWeights)
    """Weight of each task in the loss."""
    windows: Literal["sliding", "random", "last"] = "sliding"
    """Training windows of a history. sliding: all, window_stride apart; random: one at a random
    offset in each epoch; last: the most recent one."""
    window_stride: int = 0
    """Events between the starts of two sliding windows; 0: half of seq_length."""
    cold_start_windows: int = 0
    """Short extra windows for each training window, to train for cold-start and few-shot users: 1
    to 32 events that start among the user's first 64, read without the user id."""
    cold_item_cost: float = 0.005
    """Share of validation Hit@10 and NDCG@10 that warm items may lose to cold-start items,
    simulated with a fifth of the catalogue. After training, scores of cold-start items are lowered
    to meet it; 1: never lowered."""
    mask_probability: float = 0.2
    """Share of events masked for item_prediction; the last event is always masked."""
    exclude_seen: bool = True
    """Mask the items that a token has seen out of its softmax, as they are filtered from
    recommendations."""
    teacher: tuple[str, ...] = ()
    """Model folders of the teachers in knowledge distillation, on the same catalogue; several teach
    the mean of their scores."""
    distillation_weight: float = 0.5
    """Weight of the teachers' soft targets in the item tasks; the rest is the observed item."""
    distillation_temperature: float = 1.0
    """Softmax temperature of the teachers' scores; above 1 flattens them."""
    warm_start_from: str = ""
    """Model folder whose weights initialise training (warm start); empty: random weights."""
    rating_factor_l2: float = 0.012
    """L2 penalty of the rating head's factors, for each rating that uses them; a tenth of it for
    its biases."""
    rating_learning_rate: float = 1e-3
    """Peak learning rate of the rating head's factors and biases."""
    weight_decay: float = 0.01
    """Decoupled weight decay of AdamW, on matrices only."""
    adam_beta2: float = 0.98
    """Second-moment decay of AdamW."""
    warmup_steps: int = 200
    """Optimiser steps of linear warm-up; at most a tenth of all steps."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """Learning rate schedule after warm-up, down to a hundredth of the peak at max_epochs."""
    max_grad_norm: float = 1.0
    """Maximum gradient norm; larger gradients are clipped, 0: never."""
    gradient_accumulation_steps: int = 1
    """Batches whose gradients are accumulated for one optimiser step."""
    ema_decay: float = 0.0
    """Decay of the exponential moving average of the weights; the average is evaluated and saved.
    0 turns it off."""
    cuda_graphs: bool = True
    """CUDA-graph capture of the training step, on one GPU in 32-true: a small network trains
    several times as fast. Batches are padded. Not used with cold_start_windows, whose lengths
    differ too much."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Floating-point precision of training."""
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    """Type of device; auto: a GPU if there is one."""
    devices: int = 1
    """Number of devices; above 1, each trains on its share of the users (DDP)."""
    num_workers: int = 0
    """Worker processes that assemble batches; 0: the training process does."""
    pin_memory: bool = False
    """Page-lock batches in memory, for faster copies to a GPU."""
    seed: int = 42
    """Random seed of weights, masks, windows and dropout; the same seed on the same machine gives
    the same weights."""
    logger: Literal["csv", "tensorboard", "mlflow"] = "csv"
    """Logger of losses and metrics, besides metrics.csv."""
    use_wandb: bool = False
    """Log to Weights & Biases too."""

    def __post_init__(self) -> None:
        named = (
            (self.teacher,) if isinstance(self.teacher, str) else self.teacher
        )  # one word in a file is one folder
        if isinstance(named, tuple | list):
            object.__setattr__(self, "teacher", tuple(folder for folder in named if folder))
        _check_types(self)
        _at_most(self, _LARGEST_BATCH, "batch_size", "gradient_accumulation_steps")
        _at_most(self, _LONGEST, "max_epochs", "window_stride", "cold_start_windows")
        _at_most(self, _MOST_PROCESSES, "devices", "num_workers")
        is_seed = 0 <= self.seed <= _LARGEST_SEED
        _require(is_seed, self, "seed", f"a whole number from 0 to {_LARGEST_SEED}")
        for name in (
            "batch_size",
            "max_epochs",
            "patience",
            "gradient_accumulation_steps",
            "devices",
        ):
            _require(getattr(self, name) >= 1, self, name, "1 or more")
        for name in (
            "window_stride",
            "cold_start_windows",
            "rating_factor_l2",
            "weight_decay",
            "warmup_steps",
            "max_grad_norm",
            "num_workers",
        ):
            _require(getattr(self, name) >= 0, self, name, "0 or more")
        for name in ("ema_decay", "adam_beta2"):
            _require(0 <= getattr(self, name) < 1, self, name, "0 or more and below 1")
        _require(0 <= self.cold_item_cost <= 1, self, "cold_item_cost", "between 0 and 1")
        _require(0 < self.mask_probability < 1, self, "mask_probability", "between 0 and 1")
        for name in ("learning_rate", "rating_learning_rate", "distillation_temperature"):
            _require(getattr(self, name) > 0, self, name, "above 0")
        _require(
            0 < self.distillation_weight <= 1, self, "distillation_weight", "above 0 and at most 1"
        )


@dataclass(frozen=True)
class RunConfig:
    """All settings of a training run, as stored with the model."""

    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    split: SplitConfig = field(default_factory=SplitConfig)

    def __post_init__(self) -> None:
        reach = self.model.seq_length + 1  # events that a window supervises
        if self.training.windows == "sliding" and self.training.window_stride > reach:
            raise ConfigError(
                f"window_stride {self.training.window_stride} is above "
                f"seq_length {self.model.seq_length} + 1: "
                "events between two windows would never train"
            )

    def to_dict(self) -> dict[str, Any]:
        """Flat mapping of all settings, the form of a configuration file."""
        settings = {**asdict(self.model), **asdict(self.training), **asdict(self.split)}
        settings["teacher"] = list(self.training.teacher)
        return settings

    def changes(self) -> dict[str, Any]:
        """Flat mapping of the settings that differ from the defaults."""
        defaults = RunConfig().to_dict()
        return {name: value for name, value in self.to_dict().items() if value != defaults[name]}

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> RunConfig:
        """Settings of a flat mapping; absent ones have their defaults.

        Raises ConfigError for an unknown name or a value out of range.
        """
        if not isinstance(settings, Mapping):
            raise ConfigError("the settings are no mapping of names to values")
        groups = (ModelConfig, TrainingConfig, SplitConfig)
        unknown = set(settings).difference(*map(_names, groups))
        if unknown:
            name = min(map(str, unknown))
            raise ConfigError(f"unknown setting {name!r}; 'bert4rec train --help' lists them")
        model, training, split = (_group_from(group, settings) for group in groups)
        return cls(model, training, split)


def _names(group: type) -> list[str]:
    return [entry.name for entry in fields(group)]


def _group_from(group: type, settings: Mapping[str, Any]) -> Any:
    """One dataclass from its share of a flat mapping."""
    chosen = {name: settings[name] for name in _names(group) if name in settings}
    if "task_weights" in chosen:
        chosen["task_weights"] = _task_weights(chosen["task_weights"])
    return group(**chosen)


def _task_weights(value: object) -> TaskWeights:
    if isinstance(value, TaskWeights):
        return value
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"task_weights is {_short(value)}: it must be a mapping of tasks to weights"
        )
    unknown = set(value).difference(_names(TaskWeights))
    if unknown:
        raise ConfigError(f"task_weights has no task {min(map(str, unknown))!r}")
    return TaskWeights(**value)


@dataclass(frozen=True)
class PrepareConfig:
    """Settings of data preparation."""

    dataset: str | None = None
    """Name of a MovieLens release: ml-100k, ml-1m, ml-10m, ml-20m, ml-25m, ml-32m or
    ml-latest-small."""
    schema: Path | None = None
    """YAML file that declares your own tables, or a RecBole .inter file; in place of dataset."""
    data_dir: Path | None = None
    """Folder of the release: its unpacked folder, or one that holds that folder or its zip;
    default: $BERT4REC_DATA."""
    output: Path | None = None
    """Prepared folder to write; default: prepared/NAME."""
    name: str | None = None
    """Name of the dataset in reports; default: that of the release or the schema."""
    file_order: bool = False
    """Order events by row instead of time, for tables without timestamps."""
    ties: Literal["file", "shuffled"] = "file"
    """Order of a user's events with equal timestamps: by row, or shuffled to measure the effect of
    that order."""
    on_bad_rows: Literal["error", "drop"] = "error"
    """Rows that cannot be read. error: stop at the first one; drop: leave them out and count
    them."""
    repeated_pairs: Literal["keep", "first", "last"] = "keep"
    """Several events of one user with one item: keep all, the first or the last."""
    min_user_events: int = 1
    """Minimum events of a user; others are left out."""
    min_item_events: int = 1
    """Minimum events of an item; both minima are applied in turn until they hold."""
    keep_without_events: Literal["none", "items", "users", "all"] = "none"
    """Rows of the item and user tables without any event: leave them out, or keep items, users or
    both as cold-start items and users, known by their features alone."""
    overwrite: bool = False
    """Replace a prepared folder made with other settings."""

    def __post_init__(self) -> None:
        _check_types(self)
        for name in ("min_user_events", "min_item_events"):
            _require(getattr(self, name) >= 1, self, name, "1 or more")
        if self.ties == "shuffled" and self.file_order:
            raise ConfigError(
                "ties 'shuffled' is about equal times, and file_order ignores times: "
                "leave one of them out"
            )


def _at_most(config: object, most: int, *names: str) -> None:
    for name in names:
        _require(getattr(config, name) <= most, config, name, f"at most {most}")


def _check_types(config: object) -> None:
    """Raise ConfigError for a value that is not of its field's type, or no finite number."""
    for name, hint in get_type_hints(type(config)).items():
        expected = _expected(hint, getattr(config, name))
        _require(expected is None, config, name, expected or "")


def _expected(hint: Any, value: object) -> str | None:
    """Words for what a value must be; None where it is that, or is checked elsewhere."""
    if get_origin(hint) is Literal:
        is_known = isinstance(value, str) and value in get_args(hint)
        return None if is_known else f"one of {', '.join(get_args(hint))}"
    if hint == tuple[str, ...]:
        is_texts = isinstance(value, tuple) and all(isinstance(entry, str) for entry in value)
        return None if is_texts else "a list of texts"
    return None if _is_of(hint, value) else _WORDS[hint]


_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "text",
}


def _is_of(hint: Any, value: object) -> bool:
    is_bool = isinstance(value, bool)
    if hint is int:
        return isinstance(value, Integral) and not is_bool
    if hint is float:
        return isinstance(value, Real) and not is_bool and _is_finite(value)
    return hint not in _WORDS or isinstance(value, hint)


def _is_finite(value: Real) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond float64
        return False


def _require(holds: bool, config: object, name: str, what: str) -> None:
    if not holds:
        raise ConfigError(f"{name} is {_short(getattr(config, name))}: it must be {what}")


def _short(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        return "a number of thousands of digits"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
