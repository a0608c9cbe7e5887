"""What a server does under more load than one call after the other."""
