"""Rules of tenants and credentials: standard library and kernel only."""
