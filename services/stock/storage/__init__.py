"""Where the stock service keeps its records."""
