"""Top-k recommendations for a known user, for a history you pass, or for many users at once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.flags import add_json, add_settings, add_switch, settings_of
from bert4rec.cli.model_flags import ModelFlags
from bert4rec.cli.output import bar, show_json, show_table
from bert4rec.cli.recommendation_files import check_format, write_tables
from bert4rec.cli.request_flags import HistoryFlags, RuleFlags
from bert4rec.errors import DataError, UsageError
from bert4rec.result_tables import Cell, Table

if TYPE_CHECKING:
    from bert4rec.engine.answers import Recommendation, Recommendations
    from bert4rec.ids import RawId, Vocabulary


def add_flags(parser: ArgumentParser) -> None:
    """Flags of `recommend`."""
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
    parser.add_argument("--k", type=int, default=10, help="Number of items.")
    add_switch(parser, "filter_seen", True, "Leave out the items of the history.")
    add_settings(parser, HistoryFlags)
    add_settings(parser, RuleFlags)
    add_json(parser)


def run(args: Namespace) -> None:
    """Recommend items to one user, or to many with --users."""
    if args.users is not None or args.output is not None:
        recommend_many(args)
        return
    engine = settings_of(ModelFlags, args).engine()
    rules = settings_of(RuleFlags, args).rules(engine.dataset)
    request = settings_of(HistoryFlags, args).request(
        engine.dataset, args.user_id, k=args.k, filter_seen=args.filter_seen, rules=rules
    )
    found = engine.recommend(request)
    if args.json:
        show_json(found.to_dict())
        return
    user = "this history" if args.user_id is None else f"user {args.user_id}"
    _show(found, f"recommended to {user}", has_rules=rules is not None)


def _show(found: Recommendations, title: str, has_rules: bool) -> None:
    """Table of the recommendations, with ratings and moves where there are any."""
    has_ratings = any(item.expected_rating is not None for item in found)
    columns = ["rank", "item_id", "title", "score"]
    if has_ratings:
        columns += ["rating", "80 % within"]
    if has_rules:
        columns += ["moved by"]
    rows = [_row(item, has_ratings, has_rules) for item in found]
    show_table(Table(title, columns, rows).without_empty_columns())


def _row(item: Recommendation, has_ratings: bool, has_rules: bool) -> list[Cell]:
    row: list[Cell] = [item.rank, item.item_id, item.title, item.score]
    if has_ratings:
        row += [item.expected_rating, _interval(item)]
    if has_rules:
        row += [_moves(item)]
    return row


def _interval(item: Recommendation) -> str:
    """Interval of the rating, `3 to 5`."""
    if item.rating_interval is None:
        return ""
    low, high = item.rating_interval
    return f"{low:g} to {high:g}"


def _moves(item: Recommendation) -> str:
    """Rules with the rank before and after each: `where 14 → 2, diversity 2 → 3`."""
    moves = item.moves or ()
    return ", ".join(f"{move.rule} {move.rank_before} → {move.rank_after}" for move in moves)


def recommend_many(args: Namespace) -> None:
    """Write the recommendations of many users to a file."""
    history = settings_of(HistoryFlags, args)
    _check_many(args, history)
    check_format(args.output)
    engine = settings_of(ModelFlags, args).engine()
    rules = settings_of(RuleFlags, args).rules(engine.dataset)
    users = None if args.users == "all" else _read_ids(Path(args.users), engine.dataset.users)
    total = len(engine.dataset.users) if users is None else len(users)
    started = time.perf_counter()
    tables = engine.recommend_many(
        users, args.k, args.filter_seen, request_time=history.time(), rules=rules
    )
    progress = bar(tables, "recommending", total, lambda table: table.num_users)
    write_tables(progress, engine.dataset, args.output)
    seconds = time.perf_counter() - started
    if args.json:
        summary = {"users": total, "output": str(args.output)}
        show_json({**summary, "seconds": seconds, "users_per_second": total / seconds})
        return
    print(f"{total:,} users in {seconds:.1f} s, {total / seconds:,.0f} users/s: {args.output}")


def _check_many(args: Namespace, history: HistoryFlags) -> None:
    """Raises UsageError for flags that do not go with --users."""
    if args.users is None or args.output is None:
        raise UsageError(
            "--users and --output go together: whose lists, and the file to write them to"
        )
    if args.user_id is not None or history != HistoryFlags(request_time=history.request_time):
        raise UsageError(
            "--users takes stored histories: "
            "leave out --user_id, --item_sequence and what goes with them"
        )


def _read_ids(path: Path, users: Vocabulary) -> list[RawId]:
    """Ids of a file, one a line; the first line may be the heading `user_id`."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    words = [line.strip() for line in lines if line.strip()]
    if words and words[0] == "user_id":
        words = words[1:]
    if not words:
        raise DataError(f"{path}: holds no user ids; write one a line")
    return [users.parse(word) for word in words]
