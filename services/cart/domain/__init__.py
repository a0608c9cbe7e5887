"""Rules of carts and transactions: pure, no I/O."""
