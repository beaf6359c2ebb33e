"""TLS as a client: chain, expiry and host name are checked."""

import ssl


def client_context(*, cafile: str | None = None, cadata: str | None = None) -> ssl.SSLContext:
    """Return a context that trusts these CAs (PEM); those of the system without any. Raises OSError, ssl.SSLError.

    Without ``VERIFY_X509_STRICT``, which Python 3.13 turns on: the CAs that EKS makes for its clusters, and many that
    companies make for their proxies, have no key identifiers and would be refused.
    """
    context = ssl.create_default_context(cafile=cafile, cadata=cadata)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
