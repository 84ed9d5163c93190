"""Intervals, tests and persistence."""
