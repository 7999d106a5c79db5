"""The durable store: messages in SQLite, synced before they are acknowledged, many at a time."""

from leveret.store.sqlite.files import InvalidUrl, path_of
from leveret.store.sqlite.store import Durability, SqliteStore

__all__ = ["Durability", "InvalidUrl", "SqliteStore", "path_of"]
