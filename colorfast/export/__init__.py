"""Exports for other libraries: a trained model with its card, the scenarios, and an arm for verl."""
