"""The terminal service on the wire: decode, domain, encode."""
