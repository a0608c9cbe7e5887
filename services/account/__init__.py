"""The account service: tenants, API keys, and the tokens they are exchanged for."""
