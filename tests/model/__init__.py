"""The reference model, and a state machine that compares stores and servers with it."""
