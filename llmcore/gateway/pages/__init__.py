"""The gateway's pages: rendered on the server, brought to life by a few small scripts, all from this address alone."""
