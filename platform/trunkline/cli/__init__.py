"""The `trunkline` command: what an operator looks and reaches with."""
