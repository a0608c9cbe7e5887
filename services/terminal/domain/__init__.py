"""Rules of terminals: pure, no I/O."""
