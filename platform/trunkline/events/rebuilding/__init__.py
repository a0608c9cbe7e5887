"""A consumer's figures built again into a shadow, compared with the live ones, and swapped in."""
