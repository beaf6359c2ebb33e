"""The tree that the image consists of, made by its own script in a clean virtual environment."""

import base64
import csv
import hashlib
import importlib.metadata
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from tests.deploy import tree as questions
from tests.deploy.test_dockerfile import copy_context
from tests.driverside import attributes, channel, mount, token
from tests.fakeaws import FakeAws

ROOT = Path(__file__).parents[2]
ROLE = "arn:aws:iam::111122223333:role/app"
EXAMPLE = ROOT / "deploy/examples/secretproviderclass.yaml"
AUDITED = """\
import os, sys
PROGRAMS = {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen"}
def refuse(event, args):
    if event in PROGRAMS:
        print(event, args, file=sys.stderr, flush=True)
        os._exit(99)
sys.addaudithook(refuse)
from driver.cli import main
sys.exit(main())
"""

pytestmark = pytest.mark.timeout(180)  # the first test waits for the tree


class Tree:
    """A finished tree. What runs in it gets the variables that are named and no others: no PATH, no HOME."""

    def __init__(self, prefix: Path, said: str) -> None:
        self.prefix = prefix
        self.said = said
        (self.packages,) = prefix.glob("lib/python3.*/site-packages")
        self.python = prefix / "bin/python"
        self.keyferry = prefix / "bin/keyferry"

    def run(self, *command: Path | str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd="/", env=variables, capture_output=True, text=True, check=False)

    def answer(self, question: str) -> dict[str, str]:
        told = self.run(self.python, "-P", questions.__file__, question)
        assert told.returncode == 0, told.stderr
        answers: dict[str, str] = json.loads(told.stdout)
        return answers


def listing(folder: Path) -> dict[str, int]:
    """Return the time of every file, folder and link."""
    return {str(path): path.lstat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    """The tree, made of what Docker's builder would get; in the end nothing that ran in it has written into it."""
    folder = tmp_path_factory.mktemp("image")
    source, prefix = folder / "src", folder / "keyferry"
    copy_context(source)
    given = listing(source)
    command = (sys.executable, source / "deploy/image/build.py", prefix)
    told = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert listing(source) == given
    made = Tree(prefix, told.stdout)
    before = listing(prefix)
    yield made
    assert listing(prefix) == before


def test_it_runs_with_no_environment_at_all(tree: Tree) -> None:
    told = tree.run(tree.keyferry, "version")
    assert told.returncode == 0, told.stderr
    assert re.search(r"^protobuf implementation +upb$", told.stdout, re.MULTILINE)


def test_it_holds_the_lock_and_keyferry_and_nothing_else(tree: Tree) -> None:
    """So no pip, setuptools, wheel, pytest or moto; and not some other version than the lock's."""
    lines = (ROOT / "requirements/runtime.txt").read_text().replace("\\\n", " ").splitlines()
    lock = [Requirement(line.partition("--hash")[0].strip()) for line in lines if "==" in line]
    wanted = {(one.name, str(one.specifier)) for one in lock if one.marker is None or one.marker.evaluate()}
    found = importlib.metadata.distributions(path=[str(tree.packages)])
    there = {(one.name.lower().replace("_", "-"), f"=={one.version}") for one in found}
    assert {name for name, _ in there - wanted} == {"keyferry"}
    assert wanted <= there


def test_no_tool_to_install_or_compile_is_in_it(tree: Tree) -> None:
    tools = re.compile(r"pip|setuptools|wheel|ensurepip|distutils|_distutils_hack|pkg_resources|pytest|moto")
    assert [path for path in tree.packages.iterdir() if tools.fullmatch(path.name)] == []
    assert {re.sub(r"[\d.]+$", "", path.name) for path in (tree.prefix / "bin").iterdir()} == {"python", "keyferry"}


def test_every_module_has_byte_code_whose_source_need_not_be_looked_at(tree: Tree) -> None:
    """PEP 552: the flags of a hash-based file that is not checked are 1."""
    modules = list(tree.packages.rglob("*.py"))
    compiled = [m.parent / "__pycache__" / f"{m.stem}.{sys.implementation.cache_tag}.pyc" for m in modules]
    assert len(modules) > 500
    assert {path.read_bytes()[4:8] for path in compiled} == {b"\1\0\0\0"}


def test_the_packages_lists_of_files_are_true(tree: Tree) -> None:
    for record in tree.packages.glob("*.dist-info/RECORD"):
        for name, digest, size in csv.reader(record.read_text().splitlines()):
            content = (tree.packages / name).read_bytes()
            hashed = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            assert (digest, size) in {("", ""), (f"sha256={hashed}", str(len(content)))}, name


def test_no_path_of_the_machine_that_built_it_is_in_it(tree: Tree) -> None:
    ours = [path for path in tree.packages.glob("keyferry-*/*") if path.is_file()]
    assert "direct_url.json" not in {path.name for path in ours}
    assert [path for path in ours if str(ROOT) in path.read_text()] == []


def test_every_file_has_one_time_and_may_be_read_by_any_user(tree: Tree) -> None:
    paths = [path for path in tree.prefix.rglob("*") if not path.is_symlink()]
    assert {path.stat().st_mtime for path in paths} == {315_532_800}
    assert {path.stat().st_mode & 0o044 for path in paths} == {0o044}
    assert {path.stat().st_mode & 0o022 for path in paths} == {0}


def test_it_is_small_and_says_how_small(tree: Tree) -> None:
    found = re.search(r": ([\d.]+) MB in \d+ files; ([\d.]+) MB untrimmed, ([\d.]+) MB trimmed", tree.said)
    assert found is not None
    whole, untrimmed, trimmed = map(float, found.groups())
    assert trimmed < untrimmed - 18
    assert whole < 42


def test_it_has_the_data_of_the_services_used_alone(tree: Tree) -> None:
    data = tree.packages / "botocore/data"
    partitions = json.loads((data / "endpoints.json").read_text())["partitions"]
    named = {service for partition in partitions for service in partition["services"]}
    assert {path.name for path in data.iterdir() if path.is_dir()} == {*questions.SERVICES, *questions.ASKED_BY_BOTO3}
    assert named == {*questions.SERVICES, "portal.sso", "oidc"}
    assert not (tree.packages / "boto3/data").exists()


@pytest.mark.parametrize("question", questions.QUESTIONS)
def test_every_endpoint_is_that_of_untrimmed_botocore(tree: Tree, question: str) -> None:
    """In every partition, with and without FIPS and dual-stack."""
    expected = dict(questions.QUESTIONS[question]())
    assert {"cn-north-1", "us-gov-west-1", "eu-west-1"} <= {told.split()[1] for told in expected}
    assert any(".amazonaws.com.cn" in answer for answer in expected.values())
    assert any("fips" in answer for answer in expected.values())
    assert tree.answer(question) == expected


def aws_contracts(tree: Tree, *paths: str) -> subprocess.CompletedProcess[str]:
    """Run contract tests with keyferry and botocore of the tree; test tools come from where the tests run."""
    folder = str(tree.packages)
    code = (
        "import boto3, driver.cli, sys, pytest\n"
        f"assert all(module.__file__.startswith({folder!r}) for module in (boto3, boto3.session.botocore, driver))\n"
        "sys.exit(pytest.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-P", "-c", code, "-p", "no:cacheprovider", *paths]
    clean = {"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1", "AWS_DEFAULT_REGION": "us-east-1"}
    return subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False)


def test_the_backends_contract_holds_on_it(tree: Tree) -> None:
    told = aws_contracts(tree, "tests/contract/test_backends.py")
    assert told.returncode == 0, told.stdout + told.stderr
    assert re.search(r"\d\d passed", told.stdout) or "[100%]" in told.stdout


@pytest.mark.slow
def test_every_contract_holds_on_it(tree: Tree) -> None:
    told = aws_contracts(tree, "tests/contract")
    assert told.returncode == 0, told.stdout + told.stderr


def kubeconfig(folder: Path, url: str) -> Path:
    path = folder / "kubeconfig"
    document = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k"}}],
        "clusters": [{"name": "k", "cluster": {"server": url}}],
        "users": [],
    }
    path.write_text(yaml.safe_dump(document))
    return path


def test_a_pod_gets_its_secret_from_it_though_no_program_can_be_started(tree: Tree, tmp_path: Path) -> None:
    """What starts a program, a shell above all, ends the provider: it has to do without."""
    with FakeAws() as fake:
        fake.world.generous = True
        fake.world.put("db", "s3cret", "us-west-2")
        config = kubeconfig(tmp_path, fake.url)
        flags: list[str | Path] = ["--provider-volume", tmp_path, "--kubeconfig", config, "--metrics-address", ""]
        command = [tree.python, "-c", AUDITED, "provider", *flags]
        provider = subprocess.Popen(command, cwd="/", env={"AWS_ENDPOINT_URL": fake.url}, stdout=subprocess.DEVNULL)
        try:
            files = first_mount(tmp_path / "aws.sock")
        finally:
            provider.terminate()
            assert provider.wait(15) == 0
    assert files == {"db": b"s3cret"}


def first_mount(socket: Path) -> Mapping[str, bytes]:
    end = time.monotonic() + 15
    while not socket.exists() and time.monotonic() < end:
        time.sleep(0.02)
    with channel(socket) as dialled:
        files = mount(dialled, attributes("- {objectName: db, objectType: secretsmanager}"))
    return {name: file.contents for name, file in files.items()}


def test_boto3_finds_the_role_of_its_own_pod_with_what_is_left_of_its_data(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(token())
    code = "from driver.aws.ambient import Ambient; print(Ambient(lambda: 0.0)().access_key)"
    with FakeAws() as fake:
        fake.world.generous = True
        variables = {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token")}
        told = tree.run(tree.python, "-c", code, AWS_ENDPOINT_URL=fake.url, AWS_REGION="eu-west-1", **variables)
    assert told.returncode == 0, told.stderr
    assert re.fullmatch(r"ASIA\w+\n", told.stdout)


@pytest.mark.parametrize(
    "arguments",
    [["sync", "--help"], ["provider", "--help"], ["lint", EXAMPLE], ["policy", "-f", EXAMPLE]],
    ids=["sync", "provider", "lint", "policy"],
)
def test_the_other_commands_are_there(tree: Tree, arguments: list[Path | str]) -> None:
    told = tree.run(tree.keyferry, *arguments)
    assert told.returncode == 0, told.stderr
    assert told.stderr == ""


def test_the_demo_says_what_it_lacks(tree: Tree) -> None:
    told = tree.run(tree.keyferry, "demo", "--example", EXAMPLE)
    assert told.returncode == 2
    assert re.fullmatch(r"keyferry: demo: moto, .* is not installed: .*\n", told.stderr)
