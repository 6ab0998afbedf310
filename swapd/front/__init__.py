"""HTTP in: sockets, TLS and hypercorn. The only room that knows hypercorn."""
