"""Leveret: a fast, simple, multi-tenant message queue service over HTTP."""

__version__ = "0.1.0"
