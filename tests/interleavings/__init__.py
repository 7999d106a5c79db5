"""Threads that are run one at a time, in an order that can be chosen and repeated; and what is done in that order."""
