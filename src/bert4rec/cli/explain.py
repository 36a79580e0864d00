"""Explanation of an item: measured effects of past events, user features and item features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.flags import add_json, add_settings, at_least_one, settings_of
from bert4rec.cli.model_flags import ModelFlags
from bert4rec.cli.output import console, show_json, show_table
from bert4rec.cli.request_flags import HistoryFlags
from bert4rec.errors import UsageError
from bert4rec.result_tables import Cell, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bert4rec.engine.answers import Explanation
    from bert4rec.engine.engine import RecommendationEngine
    from bert4rec.engine.request import Request
    from bert4rec.ids import RawId

BAR_WIDTH = 20


def add_flags(parser: ArgumentParser) -> None:
    """Flags of `explain`."""
    add_settings(parser, ModelFlags)
    parser.add_argument("--user_id", type=str, help="The user's id.")
    add_own_flags(parser)
    add_settings(parser, HistoryFlags)
    add_json(parser)


def add_own_flags(parser: ArgumentParser) -> None:
    """Flags of an explanation alone."""
    parser.add_argument(
        "--item_id", type=str, help="The item to explain; default: the first recommendation."
    )
    parser.add_argument(
        "--method",
        type=Literal["leave-one-out", "gradients"],
        default="leave-one-out",
        help="Leave each event out, or estimate that by integrated gradients: faster.",
    )
    parser.add_argument("--plot", type=Path, help="A PNG to draw: effects over the history.")
    parser.add_argument(
        "--attention", type=Path, help="A PNG to draw: attention maps by block and head."
    )
    parser.add_argument("--shown", type=int, default=10, help="Number of events in the table.")


def run(args: Namespace) -> None:
    """Explain one item."""
    shown = at_least_one(args, "shown")
    engine = settings_of(ModelFlags, args).engine()
    request = settings_of(HistoryFlags, args).request(engine.dataset, args.user_id)
    if args.item_id is None:
        item_id = _first_recommendation(engine, request)
    else:
        item_id = engine.dataset.items.parse(args.item_id)
    explanation = engine.explain(request, item_id, args.method)
    _plot(args, engine, request, explanation)
    if args.json:
        show_json(explanation.to_dict())
    else:
        _show(explanation, shown)


def _first_recommendation(engine: RecommendationEngine, request: Request) -> RawId:
    """Best unseen item."""
    for item in engine.recommend(replace(request, k=1)):
        return item.item_id
    raise UsageError(
        "every item has been seen and none is left to recommend: name one with --item_id"
    )


def _plot(
    args: Namespace, engine: RecommendationEngine, request: Request, explanation: Explanation
) -> None:
    """Write the plots that the flags name."""
    if not (args.plot or args.attention):
        return
    from bert4rec.engine.plots import plot_attention, plot_explanation

    if args.plot:
        plot_explanation(explanation, args.plot)
    if args.attention:
        plot_attention(engine.attention_maps(request), args.attention)


def _show(explanation: Explanation, shown: int) -> None:
    """Print the sentence and the tables of effects."""
    console().print(explanation.sentence)
    _show_events(explanation, shown)
    _show_features("user and request features", explanation.context_effects)
    _show_features("item features", explanation.item_feature_effects)
    if explanation.similar_items:
        rows = [[item.item_id, item.title, item.similarity] for item in explanation.similar_items]
        title, columns = "most similar items of the history", ["item_id", "title", "cosine"]
        show_table(Table(title, columns, rows).without_empty_columns())


def _show_events(explanation: Explanation, shown: int) -> None:
    largest = max((abs(event.effect) for event in explanation.events), default=0.0) or 1.0
    rows = [
        [
            event.item_id,
            event.title,
            event.effect,
            event.effect_alone,
            event.rank_without,
            _bar(event.effect / largest),
        ]
        for event in explanation.events[:shown]
    ]
    columns = ["item_id", "title", "effect", "effect alone", "rank without", ""]
    title = "effect of each past event on the score, the most important first"
    show_table(Table(title, columns, rows).without_empty_columns())


def _show_features(owner: str, effects: Mapping[str, float]) -> None:
    if effects:
        rows: list[list[Cell]] = [[name, effect] for name, effect in effects.items()]
        show_table(Table(f"effect of {owner}", ["feature", "effect"], rows))


def _bar(share: float) -> str:
    return ("+" if share > 0 else "-") * round(abs(share) * BAR_WIDTH)
