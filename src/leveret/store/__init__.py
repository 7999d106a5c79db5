"""Where messages are kept: one interface (base.py), and a file for each store that keeps it."""
