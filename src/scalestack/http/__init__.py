"""HTTP/1.1: messages, a parser without I/O, a writer, a router, and the protocol that puts them on a connection."""
