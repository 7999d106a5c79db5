"""What is compared, in the order of the table."""

from __future__ import annotations

from bench.peers.brokers import Nats, RabbitMQ
from bench.peers.leveret import Leveret
from bench.peers.others import Beanstalkd, Moto, Redis
from bench.peers.peer import Level, Peer

PEERS: tuple[Peer, ...] = (
    Leveret("leveret-memory", "Leveret, `memory://`", Level.MEMORY, "stored in the process"),
    Beanstalkd("beanstalkd", "beanstalkd", Level.MEMORY, "stored in the process"),
    Redis("redis", "Redis list, no file", Level.MEMORY, "stored in the process"),
    Moto("moto-sqs", "moto's SQS", Level.MEMORY, "stored in the process"),
    Leveret(
        "leveret-normal",
        "Leveret, `normal`",
        Level.CACHE,
        "committed to SQLite's log, which is synced at checkpoints",
        durability="normal",
    ),
    Beanstalkd(
        "beanstalkd-log",
        "beanstalkd `-b`",
        Level.CACHE,
        "written to its log, which is synced at most every 50 ms",
        logged=True,
    ),
    Redis(
        "redis-everysec",
        "Redis list, `appendfsync everysec`",
        Level.CACHE,
        "written to its log, which is synced each second",
        fsync="everysec",
    ),
    Nats("nats", "NATS JetStream", Level.CACHE, "written to the stream's file, which is synced by a timer of minutes"),
    Leveret(
        "leveret-full",
        "Leveret, `full` (its default)",
        Level.DISK,
        "synced; requests under way together share a sync",
        durability="full",
    ),
    Beanstalkd(
        "beanstalkd-sync",
        "beanstalkd `-b -f0`",
        Level.DISK,
        "synced, each message by itself",
        options=("-f0",),
        logged=True,
    ),
    Redis(
        "redis-always",
        "Redis list, `appendfsync always`",
        Level.DISK,
        "synced; requests under way together share a sync",
        fsync="always",
    ),
    RabbitMQ(
        "rabbitmq-classic",
        "RabbitMQ, classic queue",
        Level.DISK,
        "synced, for the confirms of some milliseconds together",
        kind="classic",
    ),
    RabbitMQ(
        "rabbitmq-quorum",
        "RabbitMQ, quorum queue",
        Level.DISK,
        "synced, by the log of a quorum of one; messages under way together share a sync",
        kind="quorum",
    ),
    Nats("nats-always", "NATS JetStream, `sync_interval: always`", Level.DISK, "synced, each message", sync="always"),
)


def chosen(names: str) -> tuple[Peer, ...]:
    """Those that are named, by commas; all where none is."""
    if not names:
        return PEERS
    wanted = [name.strip() for name in names.split(",")]
    known = {peer.name for peer in PEERS}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ValueError(f"there is no {unknown[0]!r}; there are {', '.join(sorted(known))}")
    return tuple(peer for peer in PEERS if peer.name in wanted)
