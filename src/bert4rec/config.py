"""Every setting once: its name, type, default, what it does, and its check.

Frozen dataclasses, one for each step that is configured. Their fields have names of their own, so that a
configuration file and the flags are flat: `hidden_size: 64` and `--hidden_size 64`.
Precedence: defaults < file < flags. The docstring below a field is its `--help` text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from bert4rec.errors import ConfigError

FOLDS = 5
"""Parts that users or items are dealt into, where a split has folds."""
FOLDED = ("cold-start-users", "cold-start-items")
"""The splits that have folds."""


@dataclass(frozen=True)
class ModelConfig:
    """The network."""

    hidden_size: int = 256
    """Width of every token."""
    num_heads: int = 4
    """Attention heads; must divide hidden_size."""
    num_layers: int = 4
    """Transformer blocks."""
    seq_length: int = 50
    """The most recent events that the network reads."""
    dropout: float = 0.2
    """Share of activations dropped in training."""
    block: Literal["transformer", "gated"] = "transformer"
    """transformer: pre-norm softmax attention and feed-forward; gated: HSTU's SiLU attention with a gate."""
    feed_forward_factor: int = 4
    """Width of a transformer block's feed-forward layer, in multiples of hidden_size."""
    position: Literal["sinusoidal", "learned", "none"] = "sinusoidal"
    """Absolute position added to each token."""
    relative_position: bool = False
    """A learned attention bias by distance in events."""
    relative_time: bool = False
    """A learned attention bias by the time between request and event, in half-octave buckets."""
    temporal_embedding: bool = True
    """Day of year, weekday, hour and the gap to the event before, added to each token."""
    item_features: bool = True
    """Genres, year and whatever else the item table holds, added to each item's vector."""
    rating_input: bool = True
    """Past ratings, added to each token."""
    user_features: Literal["cross_attention", "sum", "none"] = "cross_attention"
    """How the user's id and demographics enter: as tokens to attend to, as one added vector, or not at all."""
    feature_size: int = 32
    """Width of one item or user feature value before projection."""
    user_size: int = 64
    """Width of a user id's vector before projection."""
    cosine_head: bool = True
    """Score by cosine times logit_scale instead of a dot product plus item bias."""
    logit_scale: float = 20.0
    """Factor of the cosine."""
    id_dropout: float = 0.1
    """Share of items whose id vector is hidden in a training step, so that metadata alone must score; and of users whom
    the rating head's own vectors do not know."""
    user_dropout: float = 0.1
    """Share of users whose id, and of demographics whose value, is hidden in training."""
    request_time: Literal["never", "sometimes", "always"] = "sometimes"
    """Whether training tells the time of the request: never, for half of the sequences, or always (then name it)."""
    rating_factor_size: int = 64
    """Width of the vectors by which the rating head knows users and items beside what the states say; 0: by none."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: less memory, a third more time."""
    scoring: Literal["auto", "causal", "mask", "average"] = "auto"
    """What scores: the last event's state, an appended MASK's, or their mean; auto: what was trained, causal first."""

    def __post_init__(self) -> None:
        sizes = (
            "hidden_size",
            "num_heads",
            "num_layers",
            "seq_length",
            "feature_size",
            "user_size",
        )
        for name in (*sizes, "feed_forward_factor"):
            _require(getattr(self, name) >= 1, self, name, "1 or more")
        _require(self.rating_factor_size >= 0, self, "rating_factor_size", "0 or more")
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
    """The weight of each task in the loss; a weight of 0 skips its work."""

    item_prediction: float = 1.0
    """Guess masked items from both sides."""
    next_item: float = 1.0
    """Guess every next item from what came before it."""
    rating_prediction: float = 0.3
    """Guess the rating of a known next item."""
    user_preference: float = 0.2
    """Guess the items and genres of the coming events."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            _require(getattr(self, entry.name) >= 0, self, entry.name, "0 or more")
        if not self.item_prediction and not self.next_item:
            raise ConfigError(
                "task_weights: item_prediction and next_item are both 0: nothing learns to recommend"
            )


@dataclass(frozen=True)
class SplitConfig:
    """What trains and what is asked for."""

    split: Literal["leave-one-out", "global-time", "cold-start-users", "cold-start-items"] = (
        "leave-one-out"
    )
    """leave-one-out: each user's last event tests; global-time: each user's last event after a date; cold-start-users: the
    20th event of users who do not train; cold-start-items: each user's last event, when a fifth of the items do not train."""
    test_share: float = 0.1
    """global-time: the share of all events after the test date (and of the rest after the validation date)."""
    fold: int = 0
    """cold-start-users: which of the 5 parts of the users tests; the next one validates, the others train. cold-start-items: which
    of the 5 parts of the items does not train."""

    def __post_init__(self) -> None:
        _require(0 < self.test_share < 1, self, "test_share", "between 0 and 1")
        _require(0 <= self.fold < FOLDS, self, "fold", f"a whole number from 0 to {FOLDS - 1}")
        if self.fold and self.split not in FOLDED:
            named = " and ".join(map(repr, FOLDED))
            raise ConfigError(
                f"fold {self.fold} is of the splits {named}, not of {self.split!r}: leave one of them out"
            )


@dataclass(frozen=True)
class TrainingConfig:
    """How the network is trained."""

    batch_size: int = 64
    """The most sequences in a batch (on each device)."""
    learning_rate: float = 1e-4
    """Peak learning rate of AdamW."""
    max_epochs: int = 100
    """The most passes over the training users."""
    patience: int = 15
    """Validations without a better NDCG@10 before training stops."""
    task_weights: TaskWeights = field(default_factory=TaskWeights)
    """The weight of each task in the loss."""
    windows: Literal["sliding", "random", "last"] = "sliding"
    """sliding: all windows of a history; random: one a user and epoch at a random offset; last: the most recent."""
    window_stride: int = 0
    """Events between two sliding windows; 0 is half of seq_length."""
    cold_start_windows: int = 0
    """Short windows that each window brings into its batch, of 1 to 32 events that begin among the user's first 64 and
    are read as if the user were new: so that people of whom little is known are trained for."""
    cold_item_cost: float = 0.005
    """The share of their Hit@10 and NDCG@10 that known items may lose to new ones, a fifth of the catalogue: after
    training the scores of new items are lowered until it holds on validation. 1: they are left as they are."""
    mask_probability: float = 0.2
    """Share of events that are masked for item_prediction; the last one always is."""
    exclude_seen: bool = True
    """Items that a token sees are no candidates of its item task, as they are none in a list."""
    teacher: tuple[str, ...] = ()
    """Model folders to learn from, besides the data; their catalogue must be the same. Several teach their mean."""
    distillation_weight: float = 0.5
    """The teachers' share of what the item tasks are to answer; the rest is the event that happened."""
    distillation_temperature: float = 1.0
    """The teachers' scores are divided by this: above 1 they tell more of the items that they do not put first."""
    warm_start_from: str = ""
    """A model folder whose weights training starts from, in place of random ones."""
    rating_factor_l2: float = 0.012
    """L2 penalty of the rating head's own vectors, for each rating that uses them; of its biases a tenth."""
    rating_learning_rate: float = 1e-3
    """Peak learning rate of these vectors and biases, whatever that of the network is."""
    weight_decay: float = 0.01
    """AdamW's decoupled weight decay, of matrices only."""
    beta2: float = 0.98
    """AdamW's second-moment decay."""
    warmup_steps: int = 200
    """Optimiser steps until the peak learning rate; at most a tenth of all steps."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """The learning rate after warm-up, down to a hundredth of its peak at max_epochs."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm; 0 turns it off."""
    gradient_accumulation_steps: int = 1
    """Batches summed up before an optimiser step."""
    ema_decay: float = 0.0
    """Decay of the moving average of the weights that is evaluated and saved; 0 turns it off."""
    cuda_graphs: bool = True
    """On one GPU, in 32-true: record a step once and replay it; a small network is then several times as fast.
    Batches are padded; with cold_start_windows, whose lengths differ most, no step is recorded."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Arithmetic of the forward pass."""
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    """What computes; auto: a GPU where there is one."""
    devices: int = 1
    """Devices to train on; above 1 each takes its share of the users (DDP)."""
    num_workers: int = 0
    """Processes that assemble batches; 0 does it in the training process."""
    pin_memory: bool = False
    """Page-locked batches for faster copies to a GPU."""
    seed: int = 42
    """Of weights, masks, windows and dropout: the same seed on the same machine gives the same weights."""
    logger: Literal["csv", "tensorboard", "mlflow"] = "csv"
    """Where losses and metrics are logged besides metrics.csv."""
    use_wandb: bool = False
    """Log to Weights & Biases as well."""

    def __post_init__(self) -> None:
        named = (
            (self.teacher,) if isinstance(self.teacher, str) else self.teacher
        )  # one word in a file is one folder
        object.__setattr__(self, "teacher", tuple(folder for folder in named if folder))
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
        for name in ("ema_decay", "beta2"):
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
        reach = self.model.seq_length + 1  # the events that a window supervises
        if self.training.windows == "sliding" and self.training.window_stride > reach:
            raise ConfigError(
                f"window_stride {self.training.window_stride} is above seq_length {self.model.seq_length} + 1: "
                "events between two windows would never train"
            )

    def to_dict(self) -> dict[str, Any]:
        """The settings as a flat mapping, the form of a configuration file."""
        settings = {**asdict(self.model), **asdict(self.training), **asdict(self.split)}
        return {**settings, "teacher": list(self.training.teacher)}

    def changes(self) -> dict[str, Any]:
        """The settings that differ from the defaults, in the same form."""
        defaults = RunConfig().to_dict()
        return {name: value for name, value in self.to_dict().items() if value != defaults[name]}

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> RunConfig:
        """The settings of a flat mapping; what is absent has its default, what is unknown is refused by name."""
        parts = {"model": ModelConfig, "training": TrainingConfig, "split": SplitConfig}
        names = {part: {entry.name for entry in fields(of)} for part, of in parts.items()}
        unknown = set(settings) - set().union(*names.values())
        if unknown:
            raise ConfigError(
                f"unknown setting {sorted(unknown)[0]!r}; 'bert4rec train --help' lists them"
            )
        chosen: dict[str, dict[str, Any]] = {
            part: {key: settings[key] for key in settings if key in names[part]} for part in parts
        }
        weights = chosen["training"].get("task_weights")
        if isinstance(weights, Mapping):
            chosen["training"]["task_weights"] = TaskWeights(**weights)
        elif not isinstance(weights, TaskWeights | None):
            raise ConfigError(
                f"task_weights is {weights!r}: it must be a mapping of tasks to weights"
            )
        return cls(
            ModelConfig(**chosen["model"]),
            TrainingConfig(**chosen["training"]),
            SplitConfig(**chosen["split"]),
        )

    @classmethod
    def from_stored(cls, settings: Mapping[str, Any]) -> RunConfig:
        """The settings of a run that this or an earlier version stored: what it did not know of, it did without."""
        return cls.from_dict(
            {**WITHOUT, **{name: value for name, value in settings.items() if name not in GONE}}
        )


GONE = ("late_starts",)
"""Settings of training that there are no more; a model that was trained with them answers all the same."""
WITHOUT = {"rating_factor_size": 0}
"""Settings that came later and whose defaults change a network, as a network of before has them."""


@dataclass(frozen=True)
class PrepareConfig:
    """What to prepare, and how strictly."""

    dataset: str | None = None
    """A MovieLens release by name: ml-100k, ml-1m, ml-10m, ml-20m, ml-25m, ml-32m or ml-latest-small."""
    schema: Path | None = None
    """A YAML file that declares your own tables, or a RecBole .inter file; in place of dataset."""
    data_dir: Path | None = None
    """Where the release lies: a folder with its zip or its unpacked folder, or that folder; default: $BERT4REC_DATA."""
    output: Path | None = None
    """The prepared folder; default: prepared/ and the name."""
    name: str | None = None
    """What to call the dataset in reports; default: the release, or the schema's name."""
    file_order: bool = False
    """Take the order of the rows as the order of events and ignore times: for tables without timestamps."""
    ties: Literal["file", "shuffled"] = "file"
    """Events of a user at one time: in the order of the rows, or shuffled, to see what that order is worth."""
    on_bad_rows: Literal["error", "drop"] = "error"
    """error: stop at the first row that cannot be used; drop: leave such rows out and count them."""
    repeated_pairs: Literal["keep", "first", "last"] = "keep"
    """When a user has several events with one item: keep them all, or only the first or the last."""
    min_user_events: int = 1
    """Users with fewer events are left out."""
    min_item_events: int = 1
    """Items with fewer events are left out; repeated together with min_user_events until both hold."""
    overwrite: bool = False
    """Replace a prepared folder that was made with other settings."""

    def __post_init__(self) -> None:
        for name in ("min_user_events", "min_item_events"):
            _require(getattr(self, name) >= 1, self, name, "1 or more")
        if self.ties == "shuffled" and self.file_order:
            raise ConfigError(
                "ties 'shuffled' is about equal times, and file_order ignores times: leave one of them out"
            )


def _require(holds: bool, config: object, name: str, what: str) -> None:
    if not holds:
        raise ConfigError(f"{name} is {getattr(config, name)!r}: it must be {what}")
