"""Models scored on scenarios and benchmarks."""
