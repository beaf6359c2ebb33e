"""The cluster that a person works with: as ``kubectl`` finds it, else the one that the own pod runs in."""

from collections.abc import Mapping
from pathlib import Path

import yaml

from driver.app.plugin import Plugin
from driver.errors import InvalidInput
from driver.kube import Cluster, from_kubeconfig, in_cluster


def find(kubeconfig: str, context: str, environ: Mapping[str, str]) -> Cluster:
    """Return the cluster of a kubeconfig: the one given, else of ``KUBECONFIG``, else ``~/.kube/config``.

    Of several files in ``KUBECONFIG`` the first that has the context is used, not a mixture of them. Credential
    plug-ins are run. Raises InvalidInput.
    """
    paths = [Path(part) for part in (kubeconfig or environ.get("KUBECONFIG", "")).split(":") if part]
    home = Path(environ.get("HOME", "/")) / ".kube/config"
    if not paths and home.exists():
        paths = [home]
    if not paths:
        return in_cluster(environ)
    path, context = _with_context(paths, context) if len(paths) > 1 else (paths[0], context)
    return from_kubeconfig(path, context=context, plugin=Plugin)


def _with_context(paths: list[Path], context: str) -> tuple[Path, str]:
    documents = {path: found for path in paths if isinstance(found := _document(path), dict)}
    wanted = context or next((one["current-context"] for one in documents.values() if one.get("current-context")), "")
    for path, document in documents.items():
        if any(one.get("name") == wanted for one in document.get("contexts") or ()):
            return path, wanted
    raise InvalidInput("KUBECONFIG", "no file has the context", "see kubectl config get-contexts")


def _document(path: Path) -> object:
    try:
        return yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError):  # as kubectl: what is not there is left out
        return None
