"""The module `otel`: a span for each request, over OpenTelemetry. Loads what it needs only when it starts."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

from leveret import __version__
from scalestack.http.server import HttpServer
from scalestack.log import Logger
from scalestack.module import Module, Needs, NoConfig

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from leveret.tracing.spans import Spans

_log = Logger("leveret.tracing")

_FLUSH: Final = 5.0  # seconds that a stop waits for the last spans to be taken


class OtelModule(Module[NoConfig]):
    """Adds a layer to the HTTP server that makes spans. Configured by the variables `OTEL_*`."""

    name = "otel"
    depends = (HttpServer,)

    def __init__(self, config: NoConfig, needs: Needs) -> None:
        super().__init__(config, needs)
        self._http = needs[HttpServer]
        self._provider: TracerProvider | None = None
        self._spans: Spans | None = None

    def start(self) -> None:
        try:
            from leveret.tracing.provider import make_provider  # noqa: PLC0415 - of an extra, and needed by few
            from leveret.tracing.spans import Spans  # noqa: PLC0415
        except ImportError as error:
            raise RuntimeError(f"{error}; what it needs comes by: pip install 'leveret[otel]'") from error
        self._provider = make_provider(os.environ)
        self._spans = Spans(self._provider.get_tracer("leveret", __version__), self._http.translate)
        self._http.add_layer(self._spans, outermost=True)  # who is refused is seen too

    def stop(self) -> None:
        if self._spans is not None:
            self._http.remove_layer(self._spans)
            self._spans = None
        provider, self._provider = self._provider, None
        if provider is None:
            return
        # In a thread, since the SDK takes up to half a minute where nobody takes them, and no limit for it.
        flush = threading.Thread(target=provider.shutdown, name="flush-spans", daemon=True)
        flush.start()
        flush.join(_FLUSH)
        if flush.is_alive():
            _log.warning("the last spans could not be sent in time, and are lost", seconds=_FLUSH)
