"""Calls out of the service, to addresses that users gave: only to where a stranger could call too."""

import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Callable, Sequence
from urllib.parse import SplitResult, urlsplit

import httpx

from otacloud.errors import refuse

TIMEOUT = 10.0
PORTS = (443, 8443)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], list[str]]


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name. REQUEST_INVALID where there is none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        raise refuse("REQUEST_INVALID", f"{host} has no address") from None
    return [str(entry[4][0]) for entry in found]


def check_url(url: str, allowed: Sequence[str]) -> SplitResult:
    """https and an ordinary port, no user in it; a host in `allowed` may be any. REQUEST_INVALID."""
    parts = urlsplit(url)
    if not parts.hostname or parts.username or parts.scheme not in ("https", "http"):
        raise refuse("REQUEST_INVALID", "the URL is not https://host/path")
    if parts.hostname in allowed:
        return parts
    if parts.scheme != "https" or (parts.port or 443) not in PORTS:
        raise refuse("REQUEST_INVALID", f"only https on the ports {', '.join(map(str, PORTS))}")
    return parts


def pick(addresses: Sequence[str], host: str, allowed: Sequence[str]) -> str:
    """One of `addresses` to connect to. All of them must be public: one that is not is no accident."""
    if host not in allowed:
        for address in addresses:
            if not _is_public(ipaddress.ip_address(address)):
                raise refuse("REQUEST_INVALID", f"{host} is {address}, which is not public")
    return addresses[0]


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_global and not address.is_multicast


def sign(secret: bytes, at: int, body: bytes) -> str:
    """Value of Driblet-Signature: the time and HMAC-SHA256(secret, time "." body), against replay too."""
    mac = hmac.digest(secret, f"{at}.".encode() + body, hashlib.sha256).hex()
    return f"t={at},v1={mac}"


async def post(
    url: str, body: bytes, headers: dict[str, str], allowed: Sequence[str], look_up: Resolve
) -> int:
    """The status that the receiver answers. Connects to the address that was checked, follows nothing."""
    parts = check_url(url, allowed)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = pick(look_up(host, port), host, allowed)
    shown = f"[{address}]" if ":" in address else address
    pinned = httpx.URL(url).copy_with(host=shown.strip("[]"), port=port)
    named = headers | {"Host": parts.netloc, "Content-Type": "application/json"}
    async with (
        httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=False, trust_env=False) as http,
        http.stream("POST", pinned, content=body, headers=named, extensions={"sni_hostname": host}) as answer,
    ):
        return answer.status_code
