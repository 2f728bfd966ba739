"""Dividing the stores of a stopped server anew: which row goes where, and the run that moves them."""
