"""Beneficial-trait scenarios of colorfast as a taskset of verifiers."""

from colorfast_traits.taskset import TraitsTaskset, load_environment

__all__ = ["TraitsTaskset", "load_environment"]
