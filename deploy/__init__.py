"""Ways to run the reference system."""
