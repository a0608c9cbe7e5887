"""The store service on the wire: decode, domain, encode."""
