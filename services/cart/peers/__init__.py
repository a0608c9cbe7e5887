"""Other services as the cart's domain sees them: stub and conversion behind a Protocol of the domain."""
