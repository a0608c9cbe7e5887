"""Rules of the journal: pure, no I/O."""
