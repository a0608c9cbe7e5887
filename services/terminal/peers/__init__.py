"""The services that the terminal service calls."""
