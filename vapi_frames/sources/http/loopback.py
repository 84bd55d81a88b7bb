"""Whether a host is this machine: a key may go there without TLS, and the server answers it without a key."""

from __future__ import annotations

import ipaddress

__all__ = ["is_loopback"]


def is_loopback(host: str) -> bool:
    """Return whether *host* is a loopback address, or ``localhost``.

    Examples:
        >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "LocalHost", "0.0.0.0", "localhost.example.com")]
        [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
