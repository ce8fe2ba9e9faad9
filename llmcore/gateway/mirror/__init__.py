"""The wires that the gateway serves, seen from the server's side: JSON to nouns, nouns to JSON and events. All pure."""
