"""Every client that is measured, each used as its own documentation says; one file a family, loaded in its own process."""
