"""One file for each threat, against a gateway whose providers are real sockets."""
