"""The network and the scorer that answers with it."""
