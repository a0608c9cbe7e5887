"""The cart service on the wire: decode, domain, encode."""
