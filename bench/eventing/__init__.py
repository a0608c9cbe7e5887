"""Parts of the bench of events: what is sent, and each way it takes."""
