#!/opt/chronicle/bin/python -IS
"""The image's health check: GET a probe of the role in this container; exit status 0 where it answers 200.

Usage: chronicle-healthcheck [/livez|/readyz]. Reads CHRONICLE_LISTEN_PORT and CHRONICLE_TLS_CERT_FILE. Only the
standard library and no site packages, because it runs every few seconds on every instance.
"""

import os
import socket
import ssl
import sys

TIMEOUT_SECONDS = 2.5


def ask(path: str) -> int:
    """The status of `GET path`. Raises OSError or ValueError where there is no answer."""
    address = ("127.0.0.1", int(os.environ.get("CHRONICLE_LISTEN_PORT", "8080")))
    connection = socket.create_connection(address, timeout=TIMEOUT_SECONDS)
    if os.environ.get("CHRONICLE_TLS_CERT_FILE"):
        # The question is whether this very container answers; there is nobody in between to be deceived by.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = context.wrap_socket(connection)
    with connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        with connection.makefile("rb") as answer:
            return int(answer.readline().split()[1])


if __name__ == "__main__":
    try:
        status = ask(sys.argv[1] if len(sys.argv) > 1 else "/livez")
    except (OSError, ValueError, IndexError) as error:
        sys.exit(f"no answer: {error}")
    sys.exit(0 if status == 200 else f"answered {status}")
