"""Evaluation beyond one table: cold start, diversity and faithfulness."""
