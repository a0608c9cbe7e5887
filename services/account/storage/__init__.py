"""What the account service keeps: tenants and keys in its database, private keys and the root secret in files."""
