"""Sender processes pull outbox rows, assign them to pools, deliver them and report back as messages."""
