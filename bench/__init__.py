"""Benchmarks of the hot dispatch path, each of which checks what it measured before it prints a figure."""
