"""Scores to ranked items: candidates, top-k, ranks, filters, business rules and MMR re-ranking."""
