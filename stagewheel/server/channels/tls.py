"""Whom we trust over TLS where the configuration says nothing: the certificates of the system.

They are read once a process: it takes 20 ms and more each time, and every provider would have its own.
"""

import ssl
from functools import cache


@cache
def system_context() -> ssl.SSLContext:
    """Checks certificate and name; not to be changed by whoever uses it."""
    return ssl.create_default_context()
