"""Scores to ranked items: candidates, top-k, ranks, filters, rules and MMR re-ranking."""
