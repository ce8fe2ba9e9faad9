"""How bytes move: a two-method seam, and one file per HTTP library."""
