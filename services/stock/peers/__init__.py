"""Other services as the stock's domain sees them: stub and conversion behind a Protocol of the domain."""
