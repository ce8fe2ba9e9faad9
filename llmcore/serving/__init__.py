"""Serving: the gateway over the manager, with its database, its secrets, and the HTTP server under it."""
