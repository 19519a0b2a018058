"""Which proxy the environment names for a URL."""

from __future__ import annotations

import os
import sys
from ipaddress import ip_address
from urllib.parse import urlsplit


def proxy_for(url: str) -> str | None:
    """Return the HTTP proxy that the environment names for ``url``, as curl reads it.

    That is ``HTTP_PROXY`` or ``HTTPS_PROXY``, else ``ALL_PROXY``, with or without ``http://``, unless
    ``NO_PROXY`` excepts the host. SOCKS proxies are not supported and passed over.

    None for this machine itself, which no proxy can reach, whatever ``NO_PROXY`` says.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if _loopback(host) or not _may_name_any():
        return None
    from urllib.request import getproxies, proxy_bypass  # loads a tenth of a second of modules

    proxies = getproxies()
    proxy = (proxies.get(parts.scheme) or proxies.get("all") or "").strip()
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    excepted = proxy_bypass(host) or (parts.port is not None and proxy_bypass(f"{host}:{parts.port}"))
    return None if excepted or not proxy.startswith(("http://", "https://")) else proxy


def _may_name_any() -> bool:
    """Return True if there is a proxy at all; macOS and Windows have them in their settings, too."""
    return sys.platform in ("darwin", "win32") or any(name.lower().endswith("_proxy") for name in os.environ)


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
