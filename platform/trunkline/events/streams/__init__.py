"""What speaks to Redis: the connection, its errors and checks, positions, trimming and the live tail."""
