"""What the pages show is what happens: their lines are run against an AWS stand-in, and outputs are compared.

In a page's order, in one folder: a YAML block with a name becomes that file, ``aws`` lines of the stores and of IAM are
called, and ``keyferry`` commands are run. What a block shows below a line behind a ``$`` must be its output; versions,
which AWS makes up, are compared as ``…``. A line without an output, whose files the page shows, must succeed.
"""

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from driver import cli
from tests.docs import awscli
from tests.docs.pages import Block, Command, blocks, commands, every_page, shell_lines

RUN = {"lint", "mount", "render", "convert", "policy"}
CALLED = {"secretsmanager", "ssm", "iam"}
FILES = {
    "truststore.p12": bytes.fromhex("30820a2f020103308209"),
    "keystore.jks": b"feedfeed",
    "tls.json": json.dumps(
        {
            "certificate": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
            "key": "-----BEGIN PRIVATE KEY-----\nMIIC\n-----END PRIVATE KEY-----\n",
        }
    ).encode(),
}
"""What a reader has on disk."""
KNOWN = {
    "ACCOUNT": "111122223333",
    "ISSUER": "https://oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE",
}
"""What the ``aws`` lines of an assignment answer."""
PROFILES = {"": "123456789012", "partner": "444455556666"}
_VERSION = re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}(?:-[0-9a-f]{12})?|\b\d+-[0-9a-f]{12}|…")


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


class Session:
    """A page at work."""

    def __init__(self, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.url = url
        self.capsys = capsys
        self.variables: dict[str, str] = {}
        self.code = 0

    def play(self, block: Block) -> None:
        if block.name:
            Path(block.name).write_text(block.body)
        if block.language == "console":
            self.show(block)
        elif block.language == "sh":
            for line in shell_lines(block):
                self.line(line)
                assert self.code == 0, line

    def show(self, block: Block) -> None:
        """Run a session's lines and compare what it shows."""
        joined = block.body.replace("\\\n", " ")
        for typed, shown in re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", joined, re.MULTILINE):
            outcome = self.line(typed)
            if outcome is not None:
                out, err = outcome
                assert alike(shown) in {alike(out + err), alike(err + out)}, f"{typed}\n{out}{err}"

    def line(self, line: str) -> tuple[str, str] | None:
        """Run a line as far as it can be; return its output and its complaints, or None when it was not run."""
        self.code = 0
        made = re.fullmatch(r"(?:export )?(\w+)=(.*)", line)
        if made:
            self.variables[made[1]] = KNOWN.get(made[1], made[2])
            return None
        outcome: tuple[str, str] | None = None
        for command in commands(line):
            outcome = self.run(command, outcome)
            if outcome and command.writes:
                Path(command.writes).write_text(outcome[0])
        return outcome

    def run(self, command: Command, before: tuple[str, str] | None) -> tuple[str, str] | None:
        words = [self.expanded(word) for word in command.words]
        if words[0] == "keyferry" and words[1] in RUN:
            code = cli.main(words[1:])
            captured = self.capsys.readouterr()
            self.code = code if all(Path(word).exists() for word in words if word.endswith(".yaml")) else 0
            return captured.out, captured.err
        if words[0] == "aws" and words[1] in CALLED:
            self.call(awscli.read(words, Path.cwd()))
        if words[0] == "jq" and shutil.which("jq") and (before or Path(words[-1]).is_file()):
            given = before[0] if before else ""
            done = subprocess.run(words, input=given, capture_output=True, text=True, timeout=20, check=True)
            return done.stdout, done.stderr
        return None

    def expanded(self, word: str) -> str:
        for name, text in self.variables.items():
            word = re.sub(rf"\$\{{{name}\}}|\${name}\b", text, word)
        return word

    def call(self, call: awscli.Call) -> None:
        """Make a call of the AWS CLI; a profile is an account."""
        account = PROFILES[call.options.get("--profile", "")]
        region = call.options.get("--region", "eu-west-1")
        client = boto3.client(call.service, region_name=region, endpoint_url=self.url)
        client.meta.events.register("before-send", partial(set_account, account))
        try:
            getattr(client, call.operation)(**call.parameters)
        finally:
            client.close()


def set_account(account: str, request: Any, **_: Any) -> None:
    """Tell moto whose call a request is; without an answer, which would take the place of AWS's."""
    request.headers["X-Moto-Account-Id"] = account


def alike(text: str) -> str:
    """Return lines without what differs from run to run, and without the width of columns."""
    lines = [re.sub(r"\s+", " ", _VERSION.sub("…", line)).strip() for line in text.splitlines()]
    return "\n".join(line for line in lines if line)


@every_page
def test_a_page_shows_what_happens(
    page: str, moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        Path(name).write_bytes(content)
    variables = {"AWS_ENDPOINT_URL": moto, "AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "secret"}
    for name, text in {**variables, "AWS_REGION": "eu-west-1", "NO_PROXY": "*"}.items():
        monkeypatch.setenv(name, text)
    reset = urllib.request.Request(f"{moto}/moto-api/reset", data=b"", headers={"Content-Type": "text/plain"})
    urllib.request.urlopen(reset).close()
    session = Session(moto, capsys)
    for block in blocks(page):
        session.play(block)


def test_a_page_that_shows_something_else_is_found(moto: str, capsys: pytest.CaptureFixture[str]) -> None:
    session = Session(moto, capsys)
    with pytest.raises(AssertionError):
        session.show(Block("console", "$ keyferry lint nowhere.yaml\nall is well\n"))
