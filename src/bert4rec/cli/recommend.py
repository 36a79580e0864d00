"""The best next items for a known user, or for anyone whose history you pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.asking import HistoryFlags, ModelFlags
from bert4rec.cli.flags import add_json, add_settings, add_switch, settings_of
from bert4rec.cli.output import show_json, show_table

if TYPE_CHECKING:
    from bert4rec.engine.answers import Recommendation


def add_flags(parser: ArgumentParser) -> None:
    """The flags of `recommend`."""
    add_settings(parser, ModelFlags)
    parser.add_argument("--user_id", type=str, help="The user's id.")
    parser.add_argument("--k", type=int, default=10, help="How many items.")
    add_switch(parser, "filter_seen", True, "Leave out what the history holds.")
    add_settings(parser, HistoryFlags)
    add_json(parser)


def run(args: Namespace) -> None:
    """Recommends."""
    engine = settings_of(ModelFlags, args).engine()
    asked = settings_of(HistoryFlags, args).arguments(engine, args.user_id)
    found = engine.get_recommendations(**asked, k=args.k, filter_seen=args.filter_seen)
    if args.json:
        show_json(found.to_dict())
        return
    rated = any(item.expected_rating is not None for item in found)
    rows = [
        [item.rank, item.item_id, item.title or "", item.score, *(_rating(item) if rated else [])] for item in found
    ]
    who = f"user {args.user_id}" if args.user_id is not None else "this history"
    show_table(
        f"recommended to {who}",
        ["rank", "item_id", "title", "score", *(["rating", "80 % within"] if rated else [])],
        rows,
    )


def _rating(item: Recommendation) -> list[object]:
    """`4.12` and `3 to 5`."""
    low, high = item.rating_interval or (None, None)
    return [item.expected_rating, "" if low is None else f"{low:g} to {high:g}"]
