"""Tests of the room that serves: the backend, the sockets, the command."""
