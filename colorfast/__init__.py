"""colorfast: train a language model with a small dose of beneficial-trait RL, and measure whether
it holds."""

__version__ = "0.1.0"
