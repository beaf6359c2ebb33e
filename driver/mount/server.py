"""The gRPC side of ``v1alpha1.CSIDriverProvider`` (driver 1.6.0): bytes in, bytes or a final status out."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import quote

import grpc

from driver import telemetry
from driver.errors import Internal, KeyferryError, status_of

if TYPE_CHECKING:
    from driver.mount.provider import Provider  # for its type alone: it takes most of a start to load

log = logging.getLogger(__name__)

SERVICE = "v1alpha1.CSIDriverProvider"
STATUS_BYTES = 6_000
"""Longest status text on the wire, percent-encoded: with 8 KiB of trailers some clients make a status of their own."""


def handlers(provider: "Callable[[], Provider]") -> grpc.GenericRpcHandler:
    """Return the gRPC side of a provider: bytes in, bytes or a final status out.

    ``provider`` may wait: a process that starts serves its socket before the provider is there.
    """

    def version(_: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_trailing_metadata((provider().instance,))
        return provider().version()

    def mount(raw: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            return provider().mount(raw, context.time_remaining())
        except KeyferryError as error:
            code, text = status_of(error)
        except BaseException as error:  # noqa: BLE001 - also what provider.mount raises by a defect of its own
            log.error("a Mount failed", extra={"trace": telemetry.trace(error)})  # noqa: TRY400 - without foreign texts
            code, text = status_of(Internal())
        return context.abort(grpc.StatusCode[code], _fitting(text))

    # Its own thread: the health check must not wait behind Mounts that wait for AWS
    version.experimental_thread_pool = ThreadPoolExecutor(1, "version")  # type: ignore[attr-defined]  # grpcio's own way
    methods = {"Version": version, "Mount": mount}
    return grpc.method_handlers_generic_handler(
        SERVICE, {name: grpc.unary_unary_rpc_method_handler(behave) for name, behave in methods.items()}
    )


def _fitting(text: str) -> str:
    while len(quote(text)) > STATUS_BYTES:
        text = text[: len(text) * 9 // 10]
    return text
