"""Thin translators, one per protocol: each knows its wire format and the queue service, and no store."""
