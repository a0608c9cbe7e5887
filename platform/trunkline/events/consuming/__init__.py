"""From the streams to effects: ownership of shards, settling by number, what is set aside, and what is told of it."""
