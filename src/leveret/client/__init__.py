"""Queues for Python programs: `connect` and `connect_async` open them, whatever they are kept in."""

from leveret.client.aio import AsyncClaim, AsyncClient, AsyncQueue
from leveret.client.claim import Claim
from leveret.client.client import Client, Queue
from leveret.client.connect import connect, connect_async
from leveret.client.errors import (
    AccountFull,
    BadRequest,
    ClientClosed,
    Exists,
    Forbidden,
    InvalidUrl,
    LeaseLost,
    LeveretError,
    QueueFull,
    ServerFailed,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from leveret.client.key import InsecureKey
from leveret.client.values import Backoff, Draft, Message, Outcome, Policy, QueueStats, exponential
from leveret.client.workers import AsyncWorker, Worker, worker
from leveret.ids import make_id
from leveret.model import InvalidName

__all__ = [
    "AccountFull",
    "AsyncClaim",
    "AsyncClient",
    "AsyncQueue",
    "AsyncWorker",
    "Backoff",
    "BadRequest",
    "Claim",
    "Client",
    "ClientClosed",
    "Draft",
    "Exists",
    "Forbidden",
    "InsecureKey",
    "InvalidName",
    "InvalidUrl",
    "LeaseLost",
    "LeveretError",
    "Message",
    "Outcome",
    "Policy",
    "Queue",
    "QueueFull",
    "QueueStats",
    "ServerFailed",
    "TooLarge",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
    "Worker",
    "connect",
    "connect_async",
    "exponential",
    "make_id",
    "worker",
]
