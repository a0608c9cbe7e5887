"""State that processes share, or keep for themselves where they cannot."""
