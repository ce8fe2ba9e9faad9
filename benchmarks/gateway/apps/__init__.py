"""The servers that it is measured beside and that are ours to write: bytes passed through, and nothing at all."""
