"""The journal service on the wire: decode, domain, encode."""
