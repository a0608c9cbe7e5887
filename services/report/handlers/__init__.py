"""The report service on the wire: decode, domain, encode."""
