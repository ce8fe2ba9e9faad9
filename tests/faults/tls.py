"""Certificates for the servers of the fault list, and transports that trust them."""

from __future__ import annotations

import ssl

import trustme

from llmcore.config import TransportChoice
from llmcore.transport.base import Transport
from llmcore.transport.fast import FastTransport
from llmcore.transport.httpx_transport import HttpxTransport


def server_tls(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def trusting(choice: TransportChoice, authority: trustme.CA) -> Transport:
    """The transport of that kind, with this authority among those it trusts."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return FastTransport(tls=context) if choice == "fast" else HttpxTransport(tls=context)
