"""Where spans go, by the standard variables of OpenTelemetry's SDK, `OTEL_*`. Has none of its own."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Final

from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from leveret import __version__

_GROUP: Final = "opentelemetry_traces_exporter"  # of entry points, one for each exporter that is installed
_UNNAMED: Final = "unknown_service"  # how a service is called by the SDK that nobody has named


class UnknownExporter(ValueError):
    """No exporter of this name is installed."""


def make_provider(environ: Mapping[str, str]) -> TracerProvider:
    """What makes spans, and sends them in a thread of its own; `UnknownExporter` where it can't.

    `OTEL_TRACES_EXPORTER` is read here, since the SDK leaves that to others, and all else by the SDK itself.
    """
    exporters = exporters_of(environ)
    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _resource() -> Resource:
    """This service, as the variables call it, else by its own name."""
    found = Resource({SERVICE_VERSION: __version__}).merge(Resource.create())
    if str(found.attributes[SERVICE_NAME]).startswith(_UNNAMED):
        found = found.merge(Resource({SERVICE_NAME: "leveret"}))
    return found


def exporters_of(environ: Mapping[str, str]) -> list[SpanExporter]:
    """Those that are asked for: OTLP, unless another or none is; `UnknownExporter` for one that is not installed."""
    names = [name.strip() for name in (environ.get("OTEL_TRACES_EXPORTER") or "otlp").split(",")]
    return [_exporter(name, environ) for name in names if name not in {"", "none"}]


def _exporter(name: str, environ: Mapping[str, str]) -> SpanExporter:
    installed = entry_points(group=_GROUP)
    wanted = _otlp(environ) if name == "otlp" else name
    for entry in installed:
        if entry.name == wanted:
            exporter: SpanExporter = entry.load()()
            return exporter
    known = ", ".join(sorted({"none", "otlp", *(entry.name for entry in installed)}))
    raise UnknownExporter(
        f"OTEL_TRACES_EXPORTER is '{name}', and no exporter '{wanted}' is installed; known are {known}"
    )


def _otlp(environ: Mapping[str, str]) -> str:
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if environ.get(name):
            return "otlp_proto_grpc" if environ[name] == "grpc" else "otlp_proto_http"
    return "otlp_proto_http"
