"""Traits, scenarios and constitutions."""
