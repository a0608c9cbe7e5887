"""The item service: what a tenant sells, its categories, its taxes."""
