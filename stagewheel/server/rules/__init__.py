"""The ruleset: read from YAML with errors that name file, line and path, checked, and compiled to plans."""
