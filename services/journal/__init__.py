"""The journal service: one row for each thing that happened on a terminal, kept for years."""
