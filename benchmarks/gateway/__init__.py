"""What the gateway costs beside other gateways and beside servers that only pass bytes through, all in one run."""
