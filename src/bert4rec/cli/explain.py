"""What makes an item stand where it stands: the measured effect of each past event and of what is known of the user."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.asking import HistoryFlags, ModelFlags
from bert4rec.cli.flags import add_json, add_settings, settings_of
from bert4rec.cli.output import console, show_json, show_table

BAR_WIDTH = 20


def add_flags(parser: ArgumentParser) -> None:
    """The flags of `explain`."""
    add_settings(parser, ModelFlags)
    parser.add_argument("--user_id", type=str, help="The user's id.")
    parser.add_argument("--item_id", type=str, required=True, help="The item to explain.")
    parser.add_argument("--shown", type=int, default=10, help="How many events the table shows.")
    add_settings(parser, HistoryFlags)
    add_json(parser)


def run(args: Namespace) -> None:
    """Explains."""
    engine = settings_of(ModelFlags, args).engine()
    asked = settings_of(HistoryFlags, args).arguments(engine, args.user_id)
    item_id = engine.dataset.items.parse(args.item_id)
    explained = engine.explain_recommendation(**asked, recommended_item_id=item_id)
    if args.json:
        show_json(explained.to_dict())
        return
    console().print(explained.sentence)
    most = max((abs(event.effect) for event in explained.events), default=0.0) or 1.0
    rows = [
        [event.item_id, event.title or "", event.effect, event.rank_without, _bar(event.effect / most)]
        for event in explained.events[: args.shown]
    ]
    show_table("effect of each past event on the score", ["item_id", "title", "effect", "rank without", ""], rows)
    if explained.side_information:
        rows = [[name, effect] for name, effect in explained.side_information.items()]
        show_table("effect of what is known of the user and the request", ["what", "effect"], rows)


def _bar(share: float) -> str:
    return ("+" if share > 0 else "-") * round(abs(share) * BAR_WIDTH)
