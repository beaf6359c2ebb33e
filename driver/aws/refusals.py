"""How AWS says no: the error code and message of an answer, in the JSON and the Query protocol.

Tolerates what stands between: an error page, an empty body, XML where JSON is due.
"""

import re

import msgspec

from driver.aws.failures import Refusal
from driver.http.exchange import Answer

_CODE = re.compile(rb"<Code>\s*([\w.]{1,80})\s*</Code>", re.ASCII)
_MESSAGE = re.compile(rb"<Message>([^<]{0,2000})</Message>")


class _Body(msgspec.Struct):
    type: str | None = msgspec.field(default="", name="__type")
    code: str | None = ""
    message: str | None = ""
    Message: str | None = ""


def refusal_of(answer: Answer) -> Refusal:
    """Return what an answer other than 200 says. Total: an unreadable body gives an empty code."""
    code = answer.headers.get("x-amzn-errortype", "")
    body = answer.body[: 64 << 10]
    if body.lstrip()[:1] == b"<":
        return Refusal(answer.status, _plain(code) or _xml(_CODE, body), _xml(_MESSAGE, body))
    try:
        read = msgspec.json.decode(body, type=_Body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        read = _Body()
    return Refusal(answer.status, _plain(code or read.type or read.code or ""), read.message or read.Message or "")


def _plain(code: str) -> str:
    """Return a code without its namespace (``ns#Code``) and its URL (``Code:http://…``)."""
    return code.partition(":")[0].rpartition("#")[2]


def _xml(pattern: re.Pattern[bytes], body: bytes) -> str:
    found = pattern.search(body)
    return found[1].decode("utf-8", "replace") if found else ""
