"""Queues for Python programs: `connect` opens them, whatever they are kept in."""

from leveret.client.client import Claim, Client, LeaseEnded, Queue
from leveret.client.connect import connect

__all__ = ["Claim", "Client", "LeaseEnded", "Queue", "connect"]
