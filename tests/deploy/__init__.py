"""The files of deploy/, checked without Docker or a cluster."""
