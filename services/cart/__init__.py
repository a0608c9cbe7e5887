"""The cart service: carts, and the transactions they become."""
