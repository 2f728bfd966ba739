"""The client library: a sans-IO core inside thin blocking, trio and asyncio shells."""
