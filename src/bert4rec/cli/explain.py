"""What makes an item stand where it stands: the measured effect of each past event and of what is known of the user."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.flags import add_json, add_settings, at_least_one, settings_of
from bert4rec.cli.model_flags import HistoryFlags, ModelFlags
from bert4rec.cli.output import console, show_json, show_table
from bert4rec.errors import UsageError

if TYPE_CHECKING:
    from bert4rec.engine.engine import RecommendationEngine
    from bert4rec.ids import RawId

BAR_WIDTH = 20


def add_flags(parser: ArgumentParser) -> None:
    """The flags of `explain`."""
    add_settings(parser, ModelFlags)
    parser.add_argument("--user_id", type=str, help="The user's id.")
    add_own_flags(parser)
    add_settings(parser, HistoryFlags)
    add_json(parser)


def add_own_flags(parser: ArgumentParser) -> None:
    """The flags that only an explanation has."""
    parser.add_argument(
        "--item_id", type=str, help="The item to explain; default: the first that is recommended."
    )
    parser.add_argument(
        "--method",
        type=Literal["measured", "gradients"],
        default="measured",
        help="Leave events out, or estimate that by integrated gradients: faster.",
    )
    parser.add_argument("--plot", type=Path, help="A PNG to draw: the effects, over the history.")
    parser.add_argument(
        "--attention", type=Path, help="A PNG to draw: where the network looked, by block and head."
    )
    parser.add_argument("--shown", type=int, default=10, help="How many events the table shows.")


def run(args: Namespace) -> None:
    """Explains."""
    shown = at_least_one(args, "shown")
    engine = settings_of(ModelFlags, args).engine()
    asked = settings_of(HistoryFlags, args).arguments(engine, args.user_id)
    item_id = (
        _first(engine, asked) if args.item_id is None else engine.dataset.items.parse(args.item_id)
    )
    explained = engine.explain_recommendation(
        **asked, recommended_item_id=item_id, method=args.method
    )
    if args.plot or args.attention:
        from bert4rec.engine.plots import plot_attention, plot_explanation

        if args.plot:
            plot_explanation(explained, args.plot)
        if args.attention:
            plot_attention(engine.attention_maps(**asked), args.attention)
    if args.json:
        show_json(explained.to_dict())
        return
    console().print(explained.sentence)
    most = max((abs(event.effect) for event in explained.events), default=0.0) or 1.0
    rows = [
        [
            event.item_id,
            event.title or "",
            event.effect,
            event.alone,
            event.rank_without,
            _bar(event.effect / most),
        ]
        for event in explained.events[:shown]
    ]
    columns = ["item_id", "title", "effect", "alone", "rank without", ""]
    show_table("effect of each past event on the score, the most important first", columns, rows)
    for known, worth in (
        ("the user and the request", explained.side_information),
        ("the item", explained.item_information),
    ):
        if worth:
            show_table(
                f"effect of what is known of {known}",
                ["what", "effect"],
                [list(pair) for pair in worth.items()],
            )
    if explained.similar:
        rows = [[item.item_id, item.title or "", item.similarity] for item in explained.similar]
        show_table("most like it in the history", ["item_id", "title", "cosine"], rows)


def _first(engine: RecommendationEngine, asked: dict[str, Any]) -> RawId:
    """The first recommended item."""
    for item in engine.get_recommendations(**asked, k=1):
        return item.item_id
    raise UsageError(
        "every item has been seen and none is left to recommend: name one with --item_id"
    )


def _bar(share: float) -> str:
    return ("+" if share > 0 else "-") * round(abs(share) * BAR_WIDTH)
