"""For tests of services and of the platform itself: a bench over a real connection, and a clock to hold still."""
