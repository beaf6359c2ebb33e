"""Lines of the AWS CLI against the service models of botocore: what is called, with which parameters."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.validate import ParamValidator

_GLOBAL = {"--region", "--profile", "--query", "--output"}
_MODELS = botocore.session.get_session()


@dataclass(frozen=True)
class Call:
    """One call: ``options`` are those that every command of the CLI takes."""

    service: str
    operation: str
    parameters: dict[str, Any]
    options: dict[str, str]


def read(words: Sequence[str], folder: Path | None = None) -> Call:
    """Read ``aws SERVICE OPERATION --…``; files are read below ``folder``, and stand for themselves without one.

    Raises ValueError for what botocore's models do not have.
    """
    service, name = words[1:3]
    model = _MODELS.get_service_model(service)
    operation = next((one for one in model.operation_names if xform_name(one, "-") == name), "")
    if not operation:
        raise ValueError(f"aws {service} has no {name}")
    shape = model.operation_model(operation).input_shape
    if shape is None:
        raise ValueError(f"aws {service} {name} takes nothing")
    members = dict(shape.members)
    flags = {"--" + xform_name(member, "-"): member for member in members}
    options: dict[str, str] = {}
    parameters: dict[str, Any] = {}
    for flag, values in _given(words[3:]):
        if flag in _GLOBAL:
            options[flag] = " ".join(values)
        elif flag in flags:
            parameters[flags[flag]] = _value(members[flags[flag]], values, folder)
        else:
            raise ValueError(f"aws {service} {name} has no {flag}")
    report = ParamValidator().validate(parameters, shape)
    # The CLI makes the tokens of idempotent calls itself
    wrong = [line for line in report.generate_report().splitlines() if "Token" not in line]
    if wrong:
        raise ValueError(f"aws {service} {name}: {wrong}")
    return Call(service, xform_name(operation), parameters, options)


def actions(service: str) -> set[str]:
    """Return the IAM actions of a service that are calls of its API."""
    return {f"{service}:{name}" for name in _MODELS.get_service_model(service).operation_names}


def _given(words: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    values: list[str] = []
    flag = ""
    for word in words:
        if word.startswith("--"):
            if flag:
                yield flag, values
            flag, values = word, []
        else:
            values.append(word)
    if flag:
        yield flag, values


def _value(shape: Any, values: list[str], folder: Path | None) -> Any:
    if shape.type_name == "list":
        text = " ".join(values)
        return json.loads(text) if text.startswith("[") else [_one(shape.member, value, folder) for value in values]
    if shape.type_name == "boolean" and not values:
        return True
    if len(values) != 1:
        raise ValueError(f"one value is wanted, not {values}")
    return _one(shape, values[0], folder)


def _one(shape: Any, text: str, folder: Path | None) -> Any:
    file = re.match(r"fileb?://(.+)", text)
    if file and folder:
        content = (folder / file[1]).read_bytes()
        return content if shape.type_name == "blob" else content.decode()
    if shape.type_name in {"structure", "map"}:
        if text.startswith("{"):
            return json.loads(text)
        return dict(part.split("=", 1) for part in text.split(","))
    if shape.type_name in {"integer", "long"}:
        return int(text)
    return text.encode() if shape.type_name == "blob" else text
