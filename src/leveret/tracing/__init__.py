"""Spans over OpenTelemetry. Only `module` can be imported without `leveret[otel]`."""
