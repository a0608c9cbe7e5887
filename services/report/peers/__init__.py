"""Other services as the report's domain sees them: stub and conversion behind a Protocol of the domain."""
