"""The command line: one file for each command, all reached from main.py."""
