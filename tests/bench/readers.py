"""Many who read along, and forget what they read:  readers.py HOST PORT COUNT PATH [PATH]

Says "reading" once each of them has heard something. Reads until it is killed.
"""

import selectors
import socket
import sys

_BLOCK = 256 * 1024


def main() -> None:
    host, port, count, *paths = sys.argv[1:]
    block = bytearray(_BLOCK)
    silent = set()
    with selectors.DefaultSelector() as ready:
        for at in range(int(count)):
            line = socket.create_connection((host, int(port)))
            line.sendall(f"GET {paths[at % len(paths)]} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
            ready.register(line, selectors.EVENT_READ)
            silent.add(line.fileno())
        while ready.get_map():
            for key, _ in ready.select():
                assert isinstance(key.fileobj, socket.socket)
                if not key.fileobj.recv_into(block):
                    ready.unregister(key.fileobj)
                if silent:
                    silent.discard(key.fd)
                    if not silent:
                        print("reading", flush=True)


if __name__ == "__main__":
    main()
