"""The pages in a real browser, against the real command over simulated providers."""
