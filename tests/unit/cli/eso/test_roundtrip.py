"""What goes to the operator's manifests and comes back asks for the same."""

from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from driver.cli import documents
from driver.cli.eso import backward, forward, stores
from driver.cli.eso.told import Options, Told
from driver.sync import externalsecret
from driver.sync.plan import Mode, SyncPlan

WORD = st.from_regex(r"[a-z][a-z0-9_-]{0,7}[a-z0-9]", fullmatch=True)
NAME = st.from_regex(r"[A-Za-z0-9._-]{1,12}", fullmatch=True).filter(lambda t: t != "." and not t.startswith(".."))
STEP = st.text(st.sampled_from("abC1_-@#*?|!{}:~ é"), min_size=1, max_size=5).filter(lambda t: t.strip() == t)
PROPERTY = st.lists(STEP, min_size=1, max_size=3).map(".".join)
ROLE = WORD.map("arn:aws:iam::111122223333:role/{}".format)
PIECE = st.one_of(
    st.text(st.sampled_from("ab {}\"'\n%>é$"), max_size=6).filter(lambda t: "${" not in t),
    NAME.filter(str.isalpha).map("<%= data.{} %>".format),
    NAME.map('<%= data["t.{}"] %>'.format),
    WORD.map("<%= JSON.parse(data.a).{}[0] %>".format).filter(lambda t: "-" not in t),
    st.sampled_from(("<%= data.a.trim() %>", '<%= Buffer.from(data.a).toString("base64") %>')),
    st.just('<%= Buffer.from(data.a, "base64").toString().trim() %>'),
)
TEXT = st.lists(PIECE, max_size=5).map("".join).filter(lambda t: "${" not in t)


def versions(draw: st.DrawFn) -> dict[str, str]:
    return draw(
        st.one_of(
            WORD.map(lambda one: {"versionStage": one}),
            WORD.map(lambda one: {"versionId": one}),
        )
    )


@st.composite
def entry(draw: st.DrawFn, name: str, *, manager: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"key": draw(WORD), "name": name}
    if draw(st.booleans()):
        found["property"] = draw(PROPERTY)
    if draw(st.booleans()):
        found["isBinary"] = True
    if manager and draw(st.booleans()):
        found |= versions(draw)
    if not manager and draw(st.booleans()):
        found["key"] += f":{draw(st.integers(1, 99))}"
    return found


@st.composite
def external_secrets(draw: st.DrawFn) -> dict[str, Any]:
    manager = draw(st.booleans())
    spec: dict[str, Any] = {"backendType": "secretsManager" if manager else "systemManager"}
    names = draw(st.lists(NAME, unique=True, max_size=3))
    paths = [] if manager else draw(st.lists(WORD.map("/a.b/{}".format), max_size=2))
    data = [{"path": path, **({"recursive": True} if draw(st.booleans()) else {})} for path in paths]
    data += [draw(entry(name, manager=manager)) for name in names]
    spec["dataFrom"] = draw(st.lists(WORD, max_size=2))
    if manager:
        spec["dataFromWithOptions"] = [{"key": key, **versions(draw)} for key in draw(st.lists(WORD, max_size=2))]
    if data or not any(spec.get(field) for field in ("dataFrom", "dataFromWithOptions")):
        spec["data"] = data or [draw(entry("only", manager=manager))]
        names = names or ["only"]
    spec |= draw(st.fixed_dictionaries({}, optional={"roleArn": ROLE, "controllerId": WORD}))
    spec["region"] = draw(st.sampled_from(("eu-west-1", "us-east-1")))
    keys = NAME.filter(lambda key: key not in names)
    metadata = {"labels": draw(st.dictionaries(WORD, TEXT, max_size=2))}
    template = {
        "type": draw(st.sampled_from(("Opaque", "kubernetes.io/tls"))),
        "metadata": metadata,
        "stringData": draw(st.dictionaries(keys, TEXT, max_size=2)),
    }
    annotations = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "keyferry.dev/service-account": WORD.map(lambda text: text.replace("_", "-")),
                "keyferry.dev/deletion-policy": st.just("retain"),
                "keyferry.dev/poll-interval": st.sampled_from(("30s", "1h30m", "5m")),
                "keyferry.dev/named-secrets": st.sampled_from(("key", "auto")),
                "team": WORD,
            },
        )
    )
    head = {"name": "app", "namespace": "shop", "annotations": annotations, "labels": {"a": "b"}}
    return {
        "apiVersion": "kubernetes-client.io/v1",
        "kind": "ExternalSecret",
        "metadata": head,
        "spec": {**spec, "template": template},
    }


def planned(source: dict[str, Any]) -> SyncPlan:
    return externalsecret.parse(source, region="", mode=Mode.KEY)


@given(source=external_secrets(), cluster=st.booleans())
def test_there_and_back_gives_an_equal_plan(source: dict[str, Any], *, cluster: bool) -> None:
    """Through YAML, too: it is read as what was written."""
    told = Told()
    options = Options(store_kind="ClusterSecretStore" if cluster else "SecretStore")
    one = forward.Planned(planned(source), source, "ExternalSecret app")
    text = "---\n".join(map(documents.dump, forward.convert([one], options, told)))
    there = [one.value for one in documents.load("-", text) if isinstance(one, documents.Document)]
    assert there == list(yaml.safe_load_all(text))
    known = stores.stores(there[:1], told)
    back = backward.convert(there[1], known, "ExternalSecret app", options, told)
    assert list(told.losses) == []
    assert planned(back) == planned(source)
    assert back["metadata"]["labels"] == {"a": "b"}
