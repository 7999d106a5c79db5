"""Parsers of what strangers send, given bytes by libFuzzer. Each target says what must hold."""
