"""The store service: stores, staff and their PINs, settings."""
