"""The report service: running figures of what was sold, and the reports made of them."""
