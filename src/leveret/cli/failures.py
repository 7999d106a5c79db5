"""What can be wrong with a server that is started here: a line and a code for each. Imported when something is."""

from __future__ import annotations

from leveret.cli.exits import Code
from leveret.store.base import Unusable
from scalestack.config import ConfigError
from scalestack.kernel import KernelError
from scalestack.net.address import AddressError
from scalestack.net.tls import TlsError


def explain(error: Exception) -> tuple[str, Code] | None:
    """What to say of an error, and the code to end with; None for one that is nobody's but ours."""
    if isinstance(error, ConfigError):
        return str(error), Code.WRONG_USE
    if isinstance(error, KernelError):
        # A store that says what to do about it needs no word of modules.
        plain = next((cause for cause in error.errors if isinstance(cause, Unusable)), error)
        return str(plain), Code.FAILED
    if isinstance(error, AddressError | TlsError | Unusable):
        return str(error), Code.FAILED
    if isinstance(error, OSError):
        what = error.strerror or str(error) or type(error).__name__
        return f"{error.filename}: {what}" if error.filename else what, Code.FAILED
    return None
