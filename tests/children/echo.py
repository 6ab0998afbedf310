"""A pretend model server that speaks websockets: what it hears it says, pings and codes included.

Started with its port. A line `client gone` says that one has left without a close; the text `die`
is its end. Every other request is answered with an empty 200.
"""

import os
import socket
import sys
import threading

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    Message,
    Ping,
    Request,
    TextMessage,
)
from wsproto.utilities import RemoteProtocolError

PIECE = 65536


def main() -> None:
    """Serve for ever."""
    with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
        while True:
            client, _ = listener.accept()
            threading.Thread(target=converse, args=(client,), daemon=True).start()


def converse(client: socket.socket) -> None:
    """Speak with one client until it is over."""
    spoken = WSConnection(ConnectionType.SERVER)
    with client:
        try:
            while data := client.recv(PIECE):
                spoken.receive_data(data)
                for event in spoken.events():
                    for reply in replies(event):
                        client.sendall(spoken.send(reply))
                    if isinstance(event, CloseConnection):
                        return
        except RemoteProtocolError:  # what is not for a websocket
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        except OSError:
            pass
    print("client gone", flush=True)


def replies(event: Event) -> list[Event]:
    """Say what is said to this."""
    match event:
        case TextMessage("die"):
            os._exit(9)
        case Request():
            return [AcceptConnection()]
        case Message():
            return [event]
        case Ping() | CloseConnection():
            return [event.response()]
        case _:
            return []


if __name__ == "__main__":
    main()
