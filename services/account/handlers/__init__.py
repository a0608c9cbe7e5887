"""The account service on the wire: decode, domain, encode."""
