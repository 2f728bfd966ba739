"""Scenarios: what a ruleset is to do, written down as steps in virtual time and played by the real engine."""
