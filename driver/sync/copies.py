"""The copies of the cluster that the controller keeps: sources whole, of everything else the metadata."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from driver.errors import NotFound, Unavailable
from driver.model import Clock
from driver.sync import externalsecret, secretproviderclass
from driver.sync.cluster import Api
from driver.sync.informer import Handler, Informer, Key, Remote
from driver.sync.kinds import CLASSES, EXTERNAL_SECRETS, NAMESPACES, SECRETS, WORKLOADS, Header, Meta, Whole
from driver.sync.plan import Mode
from driver.sync.restart import WorkloadKey, secrets_of
from driver.sync.roster import Kind

CLASS = "SecretProviderClass"
EXTERNAL_SECRET = "ExternalSecret"  # noqa: S105 - the name of a kind

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True, slots=True)
class Handlers:
    """Who is told of changes; ``workload`` None: nobody, and workloads are not watched."""

    source: Callable[[str, Whole | None, Whole | None], object]
    secret: Handler[Header]
    namespace: Handler[Header]
    workload: Callable[[str, Header | None, Header | None], object] | None = None


class Space:
    """The copies of what is in one namespace, or (empty) in all."""

    def __init__(self, api: Api, handlers: Handlers, namespace: str, clock: Clock) -> None:
        self._api = api
        self._namespace = namespace
        self._clock = clock
        one = f"metadata.name={namespace}" if namespace else ""
        secrets = Remote(api, SECRETS, Header, namespace=namespace)
        self.secrets = Informer("Secrets", secrets, handlers.secret, keep=_bare, clock=clock)
        namespaces = Remote(api, NAMESPACES, Header, fields=one)
        self.namespaces = Informer("namespaces", namespaces, handlers.namespace, keep=_annotated, clock=clock)
        self.sources = {
            EXTERNAL_SECRET: Informer(
                "ExternalSecrets",
                Remote(api, EXTERNAL_SECRETS, Whole, namespace=namespace),
                lambda before, after: handlers.source(EXTERNAL_SECRET, before, after),
                keep=_whole,
                clock=clock,
            ),
            CLASS: Informer(
                "SecretProviderClasses",
                Remote(api, CLASSES, Whole, namespace=namespace),
                lambda before, after: handlers.source(CLASS, before, after),
                keep=_opted_in,
                clock=clock,
            ),
        }
        self.workloads = dict(self._watched_workloads(handlers))

    def _watched_workloads(self, handlers: Handlers) -> Iterator[tuple[str, Informer[Header]]]:
        told = handlers.workload
        if told is None:
            return
        for kind, resource in WORKLOADS.items():

            def tell(before: Header | None, after: Header | None, kind: str = kind) -> None:
                told(kind, before, after)

            remote = Remote(self._api, resource, Header, namespace=self._namespace)
            yield kind, Informer(resource.plural, remote, tell, keep=_restarting, clock=self._clock)

    def informers(self) -> list[Informer[Header] | Informer[Whole]]:
        """Return all of them."""
        return [self.secrets, self.namespaces, *self.sources.values(), *self.workloads.values()]


class Copies:
    """Lives as long as the process; safe for many threads. ``namespaces`` empty: all of them.

    A few namespaces are followed one by one, so that rights in these are enough.
    """

    def __init__(
        self, api: Api, handlers: Handlers, *, namespaces: Sequence[str] = (), clock: Clock = time.monotonic
    ) -> None:
        self._api = api
        self._clock = clock
        self._spaces = {each: Space(api, handlers, each, clock) for each in namespaces or ("",)}

    def start(self, stop: threading.Event) -> None:
        """Begin to follow the cluster, a thread for each kind."""
        for informer in self._all():
            threading.Thread(target=informer.run, args=(stop,), name=f"watch-{informer.name}", daemon=True).start()

    def wait(self, stop: threading.Event) -> bool:
        """Wait until every copy is complete; False if ``stop`` came first."""
        for informer in self._all():
            while not informer.synced.wait(0.2):
                if stop.is_set():
                    return False
        return True

    def complete(self) -> bool:
        """Tell whether every copy has been complete once."""
        return all(informer.synced.is_set() for informer in self._all())

    def progress_age(self) -> float:
        """Return the seconds since the copy that is furthest behind was last told anything."""
        return self._clock() - min(informer.last_progress for informer in self._all())

    def find(self, kind: str, key: Key) -> Whole | None:
        """Return a source as last seen."""
        space = self._space(key[0])
        return space.sources[kind].get(key) if space else None

    def sources(self, namespace: str = "") -> list[tuple[str, str, str]]:
        """Return the keys of all sources, or of those of one namespace."""
        found = ((kind, informer) for space in self._spaces.values() for kind, informer in space.sources.items())
        keys = [(kind, *key) for kind, informer in found for key in informer.names()]
        return [key for key in keys if not namespace or key[1] == namespace]

    def workload(self, key: WorkloadKey) -> Header | None:
        """Return a workload as last seen, None if it asks for no restarts."""
        space = self._space(key[1])
        informer = space.workloads.get(key[0]) if space else None
        return informer.get(key[1:]) if informer else None

    def secret_version(self, namespace: str, name: str) -> str:
        """Return a Secret's resourceVersion, empty if there is no such Secret."""
        space = self._space(namespace)
        found = space.secrets.get((namespace, name)) if space else None
        return found.metadata.resource_version if found else ""

    def permissions(self, namespace: str) -> Mapping[str, str]:
        """Return a namespace's annotations: from the cluster if the copy does not have it yet.

        Never taken to be none because they are not known. Raises KeyferryError.
        """
        space = self._space(namespace)
        found = space.namespaces.get(("", namespace)) if space else None
        if found is not None:
            return found.metadata.annotations or {}
        try:
            annotations = self._api.get(NAMESPACES, "", namespace)["metadata"].get("annotations")
        except NotFound:
            raise Unavailable(f"namespace {namespace}", "it is not there", "wait until it is made") from None
        return dict(annotations or {})

    def _all(self) -> list[Informer[Header] | Informer[Whole]]:
        return [informer for space in self._spaces.values() for informer in space.informers()]

    def _space(self, namespace: str) -> Space | None:
        return self._spaces.get(namespace) or self._spaces.get("")


def _bare(found: Header) -> Header:
    meta = found.metadata
    return Header(Meta(name=meta.name, namespace=meta.namespace, uid=meta.uid, resource_version=meta.resource_version))


def _annotated(found: Header) -> Header:
    return Header(msgspec.structs.replace(found.metadata, labels=None))


def _restarting(found: Header) -> Header | None:
    return Header(_without_last_applied(found.metadata)) if secrets_of(found) else None


def _whole(found: Whole) -> Whole:
    # a Raw points into the page that it came in
    return Whole(_without_last_applied(found.metadata), found.spec.copy(), found.status.copy(), found.descriptor.copy())


def _opted_in(found: Whole) -> Whole | None:
    wanted = secretproviderclass.opted_in({"metadata": {"annotations": found.metadata.annotations}})
    return _whole(found) if wanted else None


def _without_last_applied(meta: Meta) -> Meta:
    kept = {name: text for name, text in (meta.annotations or {}).items() if name != _LAST_APPLIED}
    return msgspec.structs.replace(meta, annotations=kept or None)


def kinds(copies: Copies, region: str, mode: Mode, providers: Sequence[str]) -> tuple[Kind, Kind]:
    """Return the kinds of sources, each with how it is parsed and found."""
    return (
        Kind(
            "kubernetes-client.io/v1",
            EXTERNAL_SECRET,
            EXTERNAL_SECRETS,
            partial(externalsecret.parse, region=region, mode=mode),
            partial(copies.find, EXTERNAL_SECRET),
            has_status=True,
        ),
        Kind(
            "secrets-store.csi.x-k8s.io/v1",
            CLASS,
            CLASSES,
            partial(secretproviderclass.parse, region=region, providers=providers),
            partial(copies.find, CLASS),
            has_status=False,
        ),
    )
