"""Exports for other libraries: a model with its card, the scenarios, and an arm for verl."""
