"""The flags that name a model, its data and a user, shared by the commands that ask a model.

Without postponed annotations: to understand those, jsonargparse runs the imports for type checkers, torch among them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bert4rec.cli.output import notes
from bert4rec.config import PrepareConfig
from bert4rec.errors import UsageError

if TYPE_CHECKING:
    from bert4rec.artefact import Artefact
    from bert4rec.data.dataset import PreparedDataset
    from bert4rec.engine.engine import RecommendationEngine
    from bert4rec.ingest.log import Log


@dataclass(frozen=True)
class ModelFlags:
    """Which model."""

    model: Path | None = None
    """The model folder."""
    model_path: Path | None = None
    """The model file of trainer.py, with --metadata_path, in place of --model."""
    metadata_path: Path | None = None
    """The metadata file that belongs to --model_path."""
    data: Path | None = None
    """The prepared folder; default: the data stored with the model."""
    data_dir: Path | None = None
    """In place of --data: where the MovieLens release lies that the model was trained on."""

    def engine(self) -> "RecommendationEngine":
        """The engine of the model."""
        from bert4rec.engine.engine import RecommendationEngine

        if self.model is None and self.model_path is None:
            raise UsageError(
                "name a model: --model FOLDER, or --model_path FILE --metadata_path FILE"
            )
        if self.model is not None:
            (model,) = open_models([self.model], self.data, self.data_dir)
            return RecommendationEngine(model)
        if self.data is not None or self.data_dir is not None:
            raise UsageError("--data and --data_dir go with --model; a --model_path holds its data")
        return RecommendationEngine.load(
            model_path=self.model_path, metadata_path=self.metadata_path
        )


def open_models(
    folders: Sequence[Path], data: Path | None, data_dir: Path | None, say: "Log | None" = None
) -> "list[Artefact]":
    """The models of folders, on the data that the two flags name; where they name none each on its own."""
    from bert4rec.artefact import load

    named = _named_data(folders[0], data, data_dir, say)
    return [load(folder, named) for folder in folders]


def _named_data(
    model: Path, data: Path | None, data_dir: Path | None, say: "Log | None"
) -> "PreparedDataset | None":
    from bert4rec.data.dataset import PreparedDataset

    if data is not None and data_dir is not None:
        raise UsageError("--data names a prepared folder, --data_dir raw files: name one of them")
    if data_dir is not None:
        return _prepared_on_the_way(model, data_dir, say)
    return None if data is None else PreparedDataset.open(data)


def _prepared_on_the_way(model: Path, data_dir: Path, say: "Log | None") -> "PreparedDataset":
    """The release that the model was trained on, from its raw files; nothing of it stays."""
    from bert4rec.artefact import training_data_of
    from bert4rec.ingest.movielens import RELEASES
    from bert4rec.ingest.prepare import prepare_dataset

    name = training_data_of(model)["name"]
    if name not in RELEASES:
        raise UsageError(
            f"{model}: was trained on {name}, which is no MovieLens release; prepare it and name it by --data"
        )
    with TemporaryDirectory(prefix="bert4rec-") as scratch:
        config = PrepareConfig(dataset=name, data_dir=data_dir, output=Path(scratch) / name)
        return prepare_dataset(config, say or notes(to_stderr=True)).in_memory()


@dataclass(frozen=True)
class HistoryFlags:
    """Who asks, and what they did."""

    item_sequence: str | None = None
    """Item ids, oldest first, separated by commas; default: the stored history of --user_id."""
    ratings: str | None = None
    """A rating for each item of --item_sequence, separated by commas."""
    timestamps: str | None = None
    """Seconds since 1970 for each item of --item_sequence, separated by commas."""
    request_time: str | None = None
    """When the list is asked for: seconds since 1970 or 'now'; default: unknown."""
    user_features: str | None = None
    """Demographics in place of the stored ones: gender=F,age_group=25-34."""
    ignore_unknown_items: bool = False
    """Leave unknown items of --item_sequence out."""
    forget: str | None = None
    """Items of the history, separated by commas, to answer as if their events had never been."""

    def arguments(self, engine: "RecommendationEngine", user_id: str | None) -> dict[str, Any]:
        """The engine's arguments: words as the ids and numbers that they mean."""
        return {
            "user_id": None if user_id is None else engine.dataset.users.parse(user_id),
            "item_sequence": None
            if self.item_sequence is None
            else item_ids(self.item_sequence, engine),
            "ratings": None
            if self.ratings is None
            else [_number("ratings", word) for word in _words(self.ratings)],
            "timestamps": None
            if self.timestamps is None
            else [int(_number("timestamps", word)) for word in _words(self.timestamps)],
            "request_time": self.moment(),
            "user_features": None
            if self.user_features is None
            else dict(map(_pair, _words(self.user_features))),
            "ignore_unknown_items": self.ignore_unknown_items,
            **({} if self.forget is None else {"forget": item_ids(self.forget, engine)}),
        }

    def moment(self) -> Any:
        """When the list is asked for, None where it is not said."""
        if self.request_time in (None, "now"):
            return self.request_time
        return int(_number("request_time", str(self.request_time)))


@dataclass(frozen=True)
class RuleFlags:
    """What the list may hold, besides the best scores."""

    allow: str | None = None
    """Nothing but these items: ids, separated by commas."""
    deny: str | None = None
    """None of these items: ids, separated by commas."""
    where: str | None = None
    """Only items of which this is true: "year >= 1990 and 'Comedy' in genres"."""
    boosts: str | None = None
    """What is added to the scores of items for which a condition holds: "year > 1999 = 0.5; 'Drama' in genres = -1"."""
    at_most: str | None = None
    """How many items of the list may have the same value of a feature: genres=3,year=2."""
    diversity: float = 0.0
    """From 0, scores alone, to 1, unlikeness alone."""

    def rules(self, engine: "RecommendationEngine") -> dict[str, Any] | None:
        """The rules of the engine that are set; None where none is."""
        given = {
            "allow": None if self.allow is None else item_ids(self.allow, engine),
            "deny": None if self.deny is None else item_ids(self.deny, engine),
            "where": self.where,
            "boosts": None if self.boosts is None else dict(map(_boost, _words(self.boosts, ";"))),
            "at_most": None if self.at_most is None else dict(map(_cap, _words(self.at_most))),
            "diversity": self.diversity or None,
        }
        return {name: value for name, value in given.items() if value is not None} or None


def item_ids(text: str | None, engine: "RecommendationEngine") -> list[Any]:
    """Ids separated by commas, in the data's type."""
    return [engine.dataset.items.parse(word) for word in _words(text or "")]


def _boost(word: str) -> tuple[str, float]:
    condition, _, number = word.rpartition("=")
    if not condition:
        raise UsageError(f"--boosts: {word!r} is not of the form CONDITION = NUMBER")
    return condition.strip(), _number("boosts", number.strip())


def _cap(word: str) -> tuple[str, int]:
    name, number = _pair(word, "at_most")
    if not number.isdecimal():
        raise UsageError(f"--at_most: {number!r} is not a whole number")
    return name, int(number)


def _words(text: str, separator: str = ",") -> list[str]:
    return [word.strip() for word in text.split(separator) if word.strip()]


def _number(name: str, word: str) -> float:
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"--{name}: {word!r} is not a number")
    return number


def _pair(word: str, flag: str = "user_features") -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals:
        raise UsageError(f"--{flag}: {word!r} is not of the form name=value")
    return name.strip(), value.strip()
