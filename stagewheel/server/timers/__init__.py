"""Durable timers: rows in the store, and a hierarchical wheel that holds only their next part."""
