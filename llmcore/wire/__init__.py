"""What is said: one file per dialect, pure. Bytes and dicts in, nouns out; no network, no clock, no environment."""
