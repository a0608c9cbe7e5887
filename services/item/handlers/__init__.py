"""The item service on the wire: decode, domain, encode."""
