"""The commands that ask a running daemon over HTTP: programs of their own, quick to start."""
