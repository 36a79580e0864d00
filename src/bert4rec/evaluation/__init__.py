"""Scores to ranks, ranks to a report with intervals; and the baselines."""
