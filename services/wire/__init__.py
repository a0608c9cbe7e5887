"""Words of the kernel on the wire: conversions and refusals that every service's handlers share. No rules."""
