"""Where the journal service keeps its records."""
