"""Where an entered address may lead (T1, T2): its spelling before anything is resolved, and each address before it is dialled.

There is one spelling of an address here and one parser; what could be read in two ways is refused. Pure.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from typing import TypeAlias

from attrs import frozen

from llmcore.gateway.errors import BadRequest

Ip: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_URL = re.compile(
    r"(https?)://([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?(/[A-Za-z0-9._~$&()*+,;=:@/-]*)?"
)
_PRIVATE_NAMES = (
    "localhost",
    "local",
    "internal",
    "lan",
    "home",
    "corp",
    "intranet",
    "home.arpa",
    "test",
    "invalid",
)
_MIRRORS = (
    "nip.io",
    "sslip.io",
    "xip.io",
    "localtest.me",
    "lvh.me",
    "vcap.me",
    "traefik.me",
    "1u.ms",
    "rbndr.us",
)
"""Public names that resolve to whatever address stands in them, or to loopback."""

_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
    )
)
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_TUNNELS = (
    ipaddress.IPv6Network("2002::/16"),
    ipaddress.IPv6Network("2001::/32"),
    ipaddress.IPv6Network("::/96"),
)
_CGNAT = ipaddress.IPv4Network("100.64.0.0/10")
_SYSTEM_PORTS = 1024
_WEB_PORTS = (80, 443)


@frozen
class Rules:
    """What holds for one entered address. local: its kind is a server of one's own; servers: "host:port" where those may
    be; allow_http: also elsewhere.
    """

    local: bool = False
    servers: frozenset[str] = frozenset()
    allow_http: bool = False


@frozen
class Site:
    """An address that was looked at: its normal spelling, and its parts."""

    url: str
    scheme: str
    host: str
    port: int


def checked(url: str, rules: Rules, *, param: str = "base_url") -> Site:
    """The address in its normal spelling. Raises BadRequest where it may not be used; nothing is resolved."""
    found = _URL.fullmatch(url) if len(url) <= 500 else None
    if found is None:
        raise _refused(
            param, "must be https://host[:port][/path], in lower-case ASCII, without user, query or fragment"
        )
    scheme, host, said, path = found.group(1), found.group(2), found.group(3), found.group(4) or ""
    port = int(said) if said else 443 if scheme == "https" else 80
    if said is not None and (said.startswith("0") or not 0 < port < 65536):
        raise _refused(param, "has a port that is none")
    if "//" in path or any(part in {".", ".."} for part in path.split("/")):
        raise _refused(param, "has a path with empty or dotted steps")
    site = Site(_spelled(scheme, host, port, path), scheme, host.strip("[]"), port)
    if f"{site.host}:{port}" in rules.servers and rules.local:
        _check_literal(site.host, param, local=True)
        return site
    if rules.local:
        raise _refused(
            param, f"{site.host}:{port} is no server that may be asked; an operator adds it to local_servers"
        )
    if scheme == "http" and not rules.allow_http:
        raise _refused(param, "must begin with https://")
    if port < _SYSTEM_PORTS and port not in _WEB_PORTS:
        raise _refused(param, f"has a port ({port}) that is not for the web")
    _check_name(site.host, param)
    return site


def _spelled(scheme: str, host: str, port: int, path: str) -> str:
    shown = "" if port == {"https": 443, "http": 80}[scheme] else f":{port}"
    return f"{scheme}://{host}{shown}{path.rstrip('/')}"


def _check_name(host: str, param: str) -> None:
    """A public name, or a public address in its one normal spelling."""
    labels = host.split(".")
    if ":" in host or _numeric(labels[-1]):
        _check_literal(host, param, local=False)
        return
    if len(labels) < 2 or any(_under(host, name) for name in _PRIVATE_NAMES):
        raise _refused(param, f"{host} is a name inside of a network")
    if any(_under(host, name) for name in _MIRRORS):
        raise _refused(param, f"{host} is a name for any address")
    if any(not label or len(label) > 63 or label[0] == "-" or label[-1] == "-" for label in labels):
        raise _refused(param, f"{host} is no host name")


def _check_literal(host: str, param: str, *, local: bool) -> None:
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        if local and not _numeric(host.rpartition(".")[2]):
            return  # a name of the operator's own list
        raise _refused(param, f"{host} is an address in an odd spelling") from None
    if str(ip) != host:
        raise _refused(param, f"{host} is an address in an odd spelling")
    if why_not(ip, local=local) is not None:
        raise _refused(param, f"{host} is an address that is not asked from here")


def _numeric(label: str) -> bool:
    """Whether some reader would take a host with this last label for an address."""
    return label.isdigit() or label.startswith("0x")


def _under(host: str, name: str) -> bool:
    return host == name or host.endswith("." + name)


def _refused(param: str, reason: str) -> BadRequest:
    return BadRequest(f"{param}: {reason}", param=param, code="address_not_allowed")


# -------------------------------------------------------------------------------------------- when it is dialled


def why_not(ip: Ip, *, local: bool) -> str | None:
    """Why this address is not dialled; None where it is. local: for a server of one's own on the operator's list."""
    plain = _unwrapped(ip)
    if plain is None:
        return "is a tunnel"
    if plain in _METADATA or plain.is_link_local:
        return "is for the metadata of a cloud"
    if plain.is_multicast or plain.is_unspecified or _is_reserved(plain):
        return "is no server's"
    if local:
        return None
    if plain in _CGNAT if isinstance(plain, ipaddress.IPv4Address) else False:
        return "is shared"
    return None if plain.is_global else "is inside of a network"


def refusal(addresses: Collection[str], *, local: bool) -> str | None:
    """Why a name that resolves to these is not dialled: one that may not be is enough. None where all may."""
    for text in addresses:
        try:
            ip = ipaddress.ip_address(text.partition("%")[0])
        except ValueError:
            return "is no address"
        if (reason := why_not(ip, local=local)) is not None:
            return reason
    return None


def _is_reserved(ip: Ip) -> bool:
    return ip.is_reserved and not ip.is_loopback


def _unwrapped(ip: Ip) -> Ip | None:
    """The address that is meant; None for those that lead somewhere else."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if any(ip in net for net in _NAT64):
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if any(ip in net for net in _TUNNELS) and not ip.is_loopback and not ip.is_unspecified:
        return None
    return ip
