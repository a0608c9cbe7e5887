"""The retail services: one package a service, and the words they share."""
