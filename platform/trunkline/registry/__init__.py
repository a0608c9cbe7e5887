"""Where services are."""
