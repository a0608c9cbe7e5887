"""The stock service on the wire: decode, domain, encode."""
