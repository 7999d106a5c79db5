"""Leveret: a fast, simple, multi-tenant message queue service over HTTP."""

from leveret.client import connect

__all__ = ["__version__", "connect"]

__version__ = "0.1.0"
