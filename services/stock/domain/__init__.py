"""Rules of stock: pure, no I/O."""
