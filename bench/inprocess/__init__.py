"""The service in this process, without sockets: all of it from bytes to bytes, and nothing of the system's network."""
