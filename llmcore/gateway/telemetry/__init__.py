"""What the gateway tells of itself: figures for Prometheus, spans for OpenTelemetry, logs as JSON lines. Never a prompt."""
