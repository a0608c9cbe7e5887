"""The terminal service: who is signed in, which trading day it is, what cash moved without a sale."""
