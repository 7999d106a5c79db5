"""Measurements of speed. Each compares sides that ran in the same minute on the same machine."""
