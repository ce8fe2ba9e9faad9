"""Whom we trust: the certificates of the machine, and those of certifi where it has none of its own."""

from __future__ import annotations

import functools
import os
import ssl

import certifi


@functools.cache
def system_tls() -> ssl.SSLContext:
    """One context for the whole process, made when first needed: it takes 20 ms.

    SSL_CERT_FILE and SSL_CERT_DIR name the only certificates to trust where they are set, as OpenSSL itself has it.
    """
    context = ssl.create_default_context()
    if not {"SSL_CERT_FILE", "SSL_CERT_DIR"} & os.environ.keys():
        context.load_verify_locations(certifi.where())
    return context
