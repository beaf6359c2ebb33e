"""The texts of all errors that the code can raise, read from its source, with values as ``…``.

An error is made of a subject, a cause and a remedy; its text here is the cause, since the remedy stands behind it in
every message. Causes are followed through variables, helper functions and parameters inside a module, so that a new
error cannot be forgotten in the documents.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import driver
from driver import errors
from driver.errors import KeyferryError

_PACKAGE = Path(driver.__file__).parent
_CLASSES = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, KeyferryError)}
_RAISED = _CLASSES | {"ClockSkewed", "InvalidAt", "add", "refuse"}
"""What is called with subject or field, cause and remedy: classes, two of them elsewhere, and ways to note an error."""
_DEMO = {"demo.py", "syncdemo.py", "standin.py", "apiserver.py", "kubectl.py"}
_DEPTH = 4


@dataclass
class Module:
    """A module's functions by name, and its module-level assignments."""

    tree: ast.Module
    functions: dict[str, list[ast.FunctionDef]] = field(default_factory=dict)
    scope: dict[str, list[ast.expr]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef):
                self.functions.setdefault(node.name, []).append(node)
        self.scope = assignments(self.tree.body)


def assignments(body: list[ast.stmt]) -> dict[str, list[ast.expr]]:
    found: dict[str, list[ast.expr]] = {}
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.NamedExpr) and node.value:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    for one in target.elts if isinstance(target, ast.Tuple) else [target]:
                        if isinstance(one, ast.Name):
                            found.setdefault(one.id, []).append(node.value)
    return found


class Reader:
    """What the texts of one module can be."""

    def __init__(self, module: Module) -> None:
        self.module = module

    def texts(self, node: ast.expr, function: ast.FunctionDef | None, depth: int = _DEPTH) -> set[str]:
        """Return the templates that an expression can have; ``…`` for what is not known."""
        if isinstance(node, ast.Constant):
            return {str(node.value)}
        if isinstance(node, ast.FormattedValue):
            return self.inserted(node.value, function, depth)
        if isinstance(node, ast.IfExp | ast.BoolOp):
            either = node.values if isinstance(node, ast.BoolOp) else [node.body, node.orelse]
            return {text for value in either for text in self.texts(value, function, depth)}
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add)):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node.left, node.right]
            return self.joined(parts, function, depth)
        return self.known(node, function, depth)

    def joined(self, parts: list[ast.expr], function: ast.FunctionDef | None, depth: int) -> set[str]:
        made = {""}
        for part in parts:
            made = {text + more for text in made for more in self.texts(part, function, depth)}
        return made

    def inserted(self, node: ast.expr, function: ast.FunctionDef | None, depth: int) -> set[str]:
        """Return what stands for a value inside a text: words only where it is a text that is made here."""
        if isinstance(node, ast.Name):
            made = (assignments(function.body) if function else {}).get(node.id, [])
            texts = [one for one in made if isinstance(one, ast.JoinedStr | ast.BinOp)]
            return {text for one in texts for text in self.texts(one, function, depth - 1)} or {"…"}
        return self.known(node, function, depth) if isinstance(node, ast.Call | ast.IfExp) else {"…"}

    def known(self, node: ast.expr, function: ast.FunctionDef | None, depth: int) -> set[str]:
        """Follow a name or a call."""
        if depth == 0:
            return {"…"}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return self.returned(node.func.id, depth - 1) or {"…"}
        if isinstance(node, ast.Name):
            values = (assignments(function.body) if function else {}).get(node.id) or self.module.scope.get(node.id)
            if values:
                return {text for value in values for text in self.texts(value, function, depth - 1)}
            return self.passed(node.id, function, depth - 1) or {"…"}
        if isinstance(node, ast.IfExp | ast.Constant | ast.JoinedStr | ast.BinOp):
            return self.texts(node, function, depth - 1)
        return {"…"}

    def returned(self, name: str, depth: int) -> set[str]:
        return {
            text
            for function in self.module.functions.get(name, [])
            for node in ast.walk(function)
            if isinstance(node, ast.Return) and node.value
            for text in self.texts(node.value, function, depth)
        }

    def passed(self, name: str, function: ast.FunctionDef | None, depth: int) -> set[str]:
        """Return what the module's own calls give a function for a parameter."""
        if function is None:
            return set()
        names = [one.arg for one in function.args.args if one.arg != "self"]
        if name not in names:
            return set()
        return {
            text
            for caller, call in calls(self.module.tree)
            if called(call) == function.name and len(call.args) > names.index(name)
            for text in self.texts(call.args[names.index(name)], caller, depth)
        }


def calls(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef | None, ast.Call]]:
    """Yield every call with the innermost function that it is in."""

    def walk(node: ast.AST, function: ast.FunctionDef | None) -> Iterator[tuple[ast.FunctionDef | None, ast.Call]]:
        inner = node if isinstance(node, ast.FunctionDef) else function
        if isinstance(node, ast.Call):
            yield inner, node
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inner)

    return walk(tree, None)


def called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


@dataclass(frozen=True, order=True)
class Text:
    """An error's cause as a template, and the part of keyferry that raises it."""

    cause: str
    part: str


def of_module(path: Path) -> Iterator[Text]:
    module = Module(ast.parse(path.read_text()))
    reader = Reader(module)
    part = path.relative_to(_PACKAGE).parts[0].removesuffix(".py")
    for function, call in calls(module.tree):
        if called(call) in _RAISED and len(call.args) >= 3:
            for cause in reader.texts(call.args[1], function):
                yield Text(plain(cause), part)


def plain(text: str) -> str:
    return re.sub(r"…[ .]*(…[ .]*)+", "… ", text.replace("...", "")).strip()


@cache
def all_texts() -> tuple[Text, ...]:
    """Return every text once, by cause; of the demo none, and none that is nothing but values."""
    found = {
        text.cause: text
        for path in sorted(_PACKAGE.rglob("*.py"))
        if path.name not in _DEMO
        for text in of_module(path)
        if telling(text.cause)
    }
    return tuple(sorted(found.values(), key=lambda text: text.cause.lstrip("… ':").lower()))


def telling(cause: str) -> bool:
    """Tell whether a template has words of its own that a reader can look for."""
    return len(re.sub(r"[^a-zA-Z]", "", cause)) >= 3 and not cause.startswith("(") and cause != "None"
