"""Losses, the Lightning module, and the run that ends in a model folder."""
