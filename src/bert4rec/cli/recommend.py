"""Top-k recommendations for a known user, for a history you pass, or for many users at once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.flags import add_json, add_settings, add_switch, settings_of
from bert4rec.cli.history_files import read_histories
from bert4rec.cli.id_lists import read_ids
from bert4rec.cli.model_flags import ModelFlags
from bert4rec.cli.output import bar, notes, show_json, show_table, show_warnings
from bert4rec.cli.recommendation_files import check_format, write_tables
from bert4rec.cli.request_flags import HistoryFlags, RuleFlags
from bert4rec.errors import UsageError
from bert4rec.result_tables import Cell, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bert4rec.engine.answers import Recommendation, Recommendations
    from bert4rec.ids import RawId

MOST_SHOWN = 5
"""Number of unknown users that the summary names."""


def add_flags(parser: ArgumentParser) -> None:
    """Flags of `recommend`."""
    add_settings(parser, ModelFlags)
    parser.add_argument("--user_id", type=str, help="The user's id.")
    parser.add_argument(
        "--users",
        type=str,
        help="Many users: 'all', or a file with an id a line or a column user_id; needs --output.",
    )
    parser.add_argument(
        "--histories",
        type=Path,
        help="A table of newer events, which replace the stored histories: columns user_id, "
        "item_id, time and, if known, rating. Without --users: the lists of its users.",
    )
    parser.add_argument(
        "--unknown_users",
        type=Literal["skip", "cold_start", "error"],
        default="skip",
        help="Users of --users without a history: leave them out, answer them as cold-start "
        "users, or stop. The summary counts them.",
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
    if (args.users, args.output, args.histories) != (None, None, None):
        recommend_many(args)
        return
    engine = settings_of(ModelFlags, args).engine()
    rules = settings_of(RuleFlags, args).rules(engine.dataset)
    request = settings_of(HistoryFlags, args).request(
        engine.dataset, args.user_id, k=args.k, filter_seen=args.filter_seen, rules=rules
    )
    found = engine.recommend(request)
    show_warnings(found.warnings)
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
    data = engine.dataset
    named = args.users not in (None, "all")
    users = read_ids(Path(args.users), data.users, ["user_id"]) if named else None
    if args.users == "all" and args.histories:
        users = list(data.users.ids)
    new = None if args.histories is None else read_histories(args.histories, data)
    started = time.perf_counter()
    tables = engine.recommend_many(
        users,
        args.k,
        args.filter_seen,
        request_time=history.time(),
        rules=rules,
        unknown_users=args.unknown_users,
        histories=new,
    )
    show_warnings(tables.warnings)
    total = tables.num_users
    progress = bar(tables, "recommending", total, lambda table: table.num_users)
    write_tables(progress, data, args.output)
    seconds = time.perf_counter() - started
    unknown = len(tables.unknown_users)
    if args.json:
        summary = {"users": total, "unknown_users": unknown, "output": str(args.output)}
        show_json({**summary, "seconds": seconds, "users_per_second": total / seconds})
        return
    remark = _unknown_remark(tables.unknown_users, args.unknown_users)
    notes()(
        f"{total:,} users in {seconds:.1f} s, {total / seconds:,.0f} users/s: {args.output}{remark}"
    )


def _unknown_remark(user_ids: Sequence[RawId], treatment: str) -> str:
    """Number of unknown users, what became of them, and the first of their ids."""
    if not user_ids:
        return ""
    outcome = "skipped" if treatment == "skip" else "answered as cold-start users"
    shown = ", ".join(map(str, user_ids[:MOST_SHOWN]))
    more = ", …" if len(user_ids) > MOST_SHOWN else ""
    return f"; {len(user_ids):,} unknown users {outcome}: {shown}{more}"


def _check_many(args: Namespace, history: HistoryFlags) -> None:
    """Raises UsageError for flags that do not go with --users."""
    if (args.users is None and args.histories is None) or args.output is None:
        raise UsageError(
            "--users and --output go together: whose lists, and the file to write them to "
            "(--histories may stand for --users)"
        )
    if args.user_id is not None or history != HistoryFlags(request_time=history.request_time):
        raise UsageError(
            "--users takes stored histories: "
            "leave out --user_id, --item_sequence and what goes with them"
        )
