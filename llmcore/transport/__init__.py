"""How bytes move: a two-method seam; httpx behind it, and one of our own over asyncio."""
