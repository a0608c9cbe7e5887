"""From the outbox to the streams: the relay, its hints, its comparison after an outage, and the publisher's log."""
