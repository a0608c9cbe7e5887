"""The payment service on the wire: decode, domain, encode."""
