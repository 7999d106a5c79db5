"""Scale Stack: a small modular server framework. Knows nothing of queues."""
