"""Rules of reports: pure, no I/O."""
