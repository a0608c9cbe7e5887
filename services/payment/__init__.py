"""The payment service: ways to pay, and what a till may do with them."""
