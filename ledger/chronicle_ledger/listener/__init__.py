"""The HTTP listener of every role: its socket, its certificate, and a protocol that bounds what comes before a key."""
