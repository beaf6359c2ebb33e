"""Which cluster a person means."""

from pathlib import Path

import pytest
import yaml

from driver.cli.cluster import find
from driver.errors import InvalidInput


def written(path: Path, *contexts: str, current: str = "") -> Path:
    """Write a kubeconfig; the server of each context has its name."""
    document = {
        "current-context": current or contexts[0],
        "contexts": [{"name": name, "context": {"cluster": name}} for name in contexts],
        "clusters": [{"name": name, "cluster": {"server": f"http://{name}:1"}} for name in contexts],
        "users": [],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document))
    return path


def test_the_file_that_is_named_wins(tmp_path: Path) -> None:
    environ = {"KUBECONFIG": str(written(tmp_path / "b", "b")), "HOME": str(tmp_path)}
    written(tmp_path / ".kube/config", "home")
    assert find(str(written(tmp_path / "a", "a")), "", environ).server == "http://a:1"
    assert find("", "", environ).server == "http://b:1"
    assert find("", "", environ | {"KUBECONFIG": ""}).server == "http://home:1"


def test_a_context_is_chosen(tmp_path: Path) -> None:
    file = str(written(tmp_path / "a", "one", "two"))
    assert find(file, "two", {}).server == "http://two:1"
    with pytest.raises(InvalidInput):
        find(file, "three", {})


def test_of_several_files_the_one_with_the_context_is_used(tmp_path: Path) -> None:
    written(tmp_path / "a", "one", current="two")
    written(tmp_path / "b", "two", "three", current="three")
    environ = {"KUBECONFIG": f"{tmp_path}/none:{tmp_path}/a:{tmp_path}/b"}
    assert find("", "", environ).server == "http://two:1"
    assert find("", "one", environ).server == "http://one:1"
    with pytest.raises(InvalidInput, match="no file has the context"):
        find("", "four", environ)


def test_without_a_file_it_is_the_own_pods(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no pod"):
        find("", "", {"HOME": str(tmp_path)})
