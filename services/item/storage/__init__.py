"""Where the item service keeps its records."""
