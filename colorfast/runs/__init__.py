"""Experiments as folders: planned, run, continued."""
