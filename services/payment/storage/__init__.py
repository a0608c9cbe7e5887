"""Where the payment service keeps its records."""
