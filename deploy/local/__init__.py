"""The whole shop on one machine: started, opened, traded on, compared to the yen."""
