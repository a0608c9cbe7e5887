"""The stock service: how much is in the stores, and every movement of it."""
