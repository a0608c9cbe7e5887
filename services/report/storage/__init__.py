"""Where the report service keeps its records."""
