"""The endpoints: thin, each a decoding, one step of work, an encoding."""
