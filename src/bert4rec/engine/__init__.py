"""The engine: raw ids in, answers out."""
