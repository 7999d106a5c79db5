"""Threads with one event loop each, and answers that come later."""
