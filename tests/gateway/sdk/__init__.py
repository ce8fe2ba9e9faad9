"""The official SDKs, unchanged, against the gateway as it is served: database, keys, manager, sockets, simulated vendors."""
