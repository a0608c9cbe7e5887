"""What the report service does with the events it receives: one file a topic, each effect in one transaction."""
