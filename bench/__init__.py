"""Benchmarks: what the engine carries, measured beside what the machine can carry at all."""
