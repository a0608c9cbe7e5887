"""Where the cart service keeps carts, transactions, numbers and seals."""
