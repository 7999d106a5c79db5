"""API keys: how their tokens look, the file that they are kept in, what a server checks them against, signed URLs."""
