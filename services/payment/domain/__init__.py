"""Rules of payment methods: standard library and kernel only."""
