"""The best next items for a known user, for anyone whose history you pass, or for many users at once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.flags import add_json, add_settings, add_switch, settings_of
from bert4rec.cli.model_flags import HistoryFlags, ModelFlags, RuleFlags
from bert4rec.cli.output import bar, show_json, show_table
from bert4rec.cli.recommendation_files import check_format, write_lists
from bert4rec.errors import DataError, UsageError

if TYPE_CHECKING:
    from bert4rec.engine.answers import Recommendation
    from bert4rec.ids import RawId, Vocabulary


def add_flags(parser: ArgumentParser) -> None:
    """The flags of `recommend`."""
    add_settings(parser, ModelFlags)
    parser.add_argument("--user_id", type=str, help="The user's id.")
    parser.add_argument(
        "--users", type=str, help="Many users: 'all', or a file with an id a line; needs --output."
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="With --users: a .parquet, .csv or .tsv of user_id, item_id, score, rank.",
    )
    parser.add_argument("--k", type=int, default=10, help="How many items.")
    add_switch(parser, "filter_seen", True, "Leave out what the history holds.")
    add_settings(parser, HistoryFlags)
    add_settings(parser, RuleFlags)
    add_json(parser)


def run(args: Namespace) -> None:
    """Recommends."""
    if args.users is not None or args.output is not None:
        recommend_many(args)
        return
    engine = settings_of(ModelFlags, args).engine()
    asked = settings_of(HistoryFlags, args).arguments(engine, args.user_id)
    rules = settings_of(RuleFlags, args).rules(engine)
    found = engine.get_recommendations(**asked, k=args.k, filter_seen=args.filter_seen, rules=rules)
    if args.json:
        show_json(found.to_dict())
        return
    rated = any(item.expected_rating is not None for item in found)
    rows = [
        [
            item.rank,
            item.item_id,
            item.title or "",
            item.score,
            *(_rating(item) if rated else []),
            *([_moves(item)] if rules else []),
        ]
        for item in found
    ]
    who = f"user {args.user_id}" if args.user_id is not None else "this history"
    show_table(
        f"recommended to {who}",
        [
            *("rank", "item_id", "title", "score"),
            *(["rating", "80 % within"] if rated else []),
            *(["moved by"] if rules else []),
        ],
        rows,
    )


def recommend_many(args: Namespace) -> None:
    """The lists of many users, in a file."""
    history = settings_of(HistoryFlags, args)
    if args.users is None or args.output is None:
        raise UsageError(
            "--users and --output go together: whose lists, and the file to write them to"
        )
    if args.user_id is not None or history != HistoryFlags(request_time=history.request_time):
        raise UsageError(
            "--users asks stored histories: leave out --user_id, --item_sequence and what goes with them"
        )
    check_format(args.output)
    engine = settings_of(ModelFlags, args).engine()
    rules = settings_of(RuleFlags, args).rules(engine)
    users = None if args.users == "all" else _ids(Path(args.users), engine.dataset.users)
    total = len(engine.dataset.users) if users is None else len(users)
    started = time.perf_counter()
    lists = engine.recommend_many(
        users, args.k, args.filter_seen, request_time=history.moment(), rules=rules
    )
    write_lists(
        bar(lists, "recommending", total, lambda piece: int((piece.rank == 1).sum())),
        engine.dataset,
        args.output,
    )
    seconds = time.perf_counter() - started
    if args.json:
        show_json(
            {
                "users": total,
                "output": str(args.output),
                "seconds": seconds,
                "users_per_second": total / seconds,
            }
        )
        return
    print(f"{total:,} users in {seconds:.1f} s, {total / seconds:,.0f} users/s: {args.output}")


def _moves(item: Recommendation) -> str:
    """`where 14 → 2, diversity 2 → 3`: the rule, the place before it and after it."""
    return ", ".join(
        f"{move.rule} {move.rank_before} → {move.rank_after}" for move in item.moves or ()
    )


def _ids(path: Path, users: Vocabulary) -> list[RawId]:
    """The ids of a file, one a line; the first line may be the heading `user_id`."""
    words = [
        line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()
    ]
    if not words[words[:1] == ["user_id"] :]:
        raise DataError(f"{path}: holds no user ids; write one a line")
    return [users.parse(word) for word in words[words[:1] == ["user_id"] :]]


def _rating(item: Recommendation) -> list[object]:
    """`4.12` and `3 to 5`."""
    low, high = item.rating_interval or (None, None)
    return [item.expected_rating, "" if low is None else f"{low:g} to {high:g}"]
