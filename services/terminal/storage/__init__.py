"""Where the terminal service keeps its records."""
