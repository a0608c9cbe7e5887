"""Where the store service keeps its records."""
