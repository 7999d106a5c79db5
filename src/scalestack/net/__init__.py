"""Listeners and connections over TCP, Unix sockets and TLS. Knows no protocol that is spoken on them."""
