"""What the journal service does with the events it receives: one file a topic, one row an event."""
