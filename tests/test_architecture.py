"""The house rules that a tool can check. Layers and imports are in pyproject.toml, for import-linter."""

import ast
import re
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import grpc
import pytest

import driver
from driver import errors
from driver.cli import COMMANDS
from driver.errors import FORBIDDEN_CODES, Failures, KeyferryError, all_of, status_of
from driver.metrics import OPERATIONS

PACKAGE = Path(driver.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py") if not path.name.endswith("_pb2.py"))
MODULES = [str(path.relative_to(PACKAGE)) for path in FILES]
TREES = {name: ast.parse(path.read_text()) for name, path in zip(MODULES, FILES, strict=True)}
IMPORTABLE = [
    ".".join(("driver", *Path(name).with_suffix("").parts)).removesuffix(".__init__")
    for name in MODULES
    if name != "__main__.py"
]
Function = ast.FunctionDef | ast.AsyncFunctionDef
every_module = pytest.mark.parametrize("module", MODULES)


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def body_lines(function: Function) -> int:
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 1


# --- budgets


@every_module
def test_a_module_has_at_most_300_lines(module: str) -> None:
    assert len((PACKAGE / module).read_text().splitlines()) <= 300


@every_module
def test_a_function_has_at_most_50_lines(module: str) -> None:
    assert [f.name for f in functions(TREES[module]) if body_lines(f) > 50] == []


def test_functions_are_short() -> None:
    """The median body has at most 8 lines, nine in ten have at most 25."""
    lines = sorted(body_lines(f) for tree in TREES.values() for f in functions(tree))
    assert statistics.median(lines) <= 8
    assert lines[len(lines) * 9 // 10] <= 25


# --- names and words


@every_module
def test_a_module_is_named_after_what_it_is_about(module: str) -> None:
    assert not {"utils", "util", "helpers", "helper", "common", "manager", "misc"} & set(re.split(r"[/_.]", module))


@every_module
def test_every_module_and_all_that_is_public_says_what_it_is(module: str) -> None:
    tree = TREES[module]
    empty_package = module.endswith("__init__.py") and not tree.body
    bare = [] if ast.get_docstring(tree) or empty_package else [module]
    bare += [node.name for node in public(tree) if not ast.get_docstring(node)]
    assert bare == []


def public(tree: ast.Module) -> Iterator[Function | ast.ClassDef]:
    """Return public functions and classes, and public methods of public classes that no base class describes."""
    for node in tree.body:
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        yield node
        if isinstance(node, ast.ClassDef) and not node.bases:
            yield from (n for n in node.body if isinstance(n, Function) and not n.name.startswith("_"))


def test_the_map_is_the_tree() -> None:
    """The docstring of ``driver`` names every module and package, one a line, and says what it is.

    Where it shows nothing inside a package, that package's own docstring does.
    """
    shown = set(mapped(driver.__doc__ or ""))
    packages = {name.removesuffix("__init__.py") for name in MODULES if name.endswith("/__init__.py")}
    for package in packages:
        if not any(name.startswith(package) and name != package for name in shown):
            own = ast.get_docstring(TREES[package + "__init__.py"], clean=False) or ""
            shown |= {package + name for name in mapped(own)}
    there = packages | {name for name in MODULES if not name.endswith("__.py")}
    assert (sorted(there - shown), sorted(shown - there)) == ([], [])


def mapped(text: str) -> Iterator[str]:
    """Yield the paths of a map: lines ``name.py  meaning`` or ``name/  meaning``, deeper ones deeper."""
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        match = re.fullmatch(r"( *)(\w+)(\.py|/) {2,}\S.*", line)
        if match is None:
            continue
        indent, name = len(match[1]), match[2]
        above = [(depth, folder) for depth, folder in above if depth < indent]
        yield "".join(folder for _, folder in above) + name + match[3]
        if match[3] == "/":
            above.append((indent, name + "/"))


# --- state


MAKERS = re.compile(
    "dict|list|set|bytearray|defaultdict|deque|OrderedDict|Counter|Gauge|Histogram|Summary|CollectorRegistry"
    "|.*Cache|R?Lock|Event|Condition|Semaphore|Thread|.*Queue|ThreadPoolExecutor|Future|Session|PoolManager"
)
CHANGERS = frozenset({"append", "add", "update", "extend", "insert", "remove", "discard", "pop", "clear", "setdefault"})


def called(node: ast.AST) -> str:
    target = node.func if isinstance(node, ast.Call) else node
    return target.attr if isinstance(target, ast.Attribute) else target.id if isinstance(target, ast.Name) else ""


@every_module
def test_nothing_at_module_level_is_made_to_be_changed(module: str) -> None:
    """No empty container, lock, cache, thread, client or metric lives in a module: such things have an owner."""
    values = [node.value for node in TREES[module].body if isinstance(node, ast.Assign | ast.AnnAssign) and node.value]
    empty = [v for v in values if ast.unparse(v) in {"[]", "{}"}]
    made = [called(v) for v in values if isinstance(v, ast.Call) and MAKERS.fullmatch(called(v))]
    kept = [f.name for f in functions(TREES[module]) if {"lru_cache", "cache"} & {called(d) for d in f.decorator_list}]
    assert ([ast.unparse(v) for v in empty], made, kept) == ([], [], [])


@every_module
def test_nothing_changes_a_module(module: str) -> None:
    """No ``global``, and no assignment to, or changing method of, a name of the module."""
    tree = TREES[module]
    names = {t.id for node in tree.body for t in targets(node) if isinstance(t, ast.Name)}
    inside = [node for function in functions(tree) for node in ast.walk(function)]
    changed = [
        ast.unparse(t) for node in inside for t in targets(node) if root(t) in names and not isinstance(t, ast.Name)
    ]
    changed += [
        ast.unparse(n) for n in inside if isinstance(n, ast.Call) and called(n) in CHANGERS and root(n.func) in names
    ]
    assert changed + [ast.unparse(node) for node in inside if isinstance(node, ast.Global)] == []


def targets(node: ast.AST) -> list[ast.expr]:
    match node:
        case ast.Assign() | ast.Delete():
            return node.targets
        case ast.AnnAssign() | ast.AugAssign():
            return [node.target]
    return []


def root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_does_nothing() -> None:
    """Once the libraries are there, importing all our modules opens no socket, writes no file, starts nothing."""
    code = f"""
import importlib, sys, threading
names = {IMPORTABLE!r}
modules = [importlib.import_module(name) for name in names]
for name in [name for name in sys.modules if name.split(".")[0] == "driver"]:
    del sys.modules[name]
seen = []
def hook(event, args):
    if event.startswith(("socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "urllib.", "_thread.start")):
        seen.append(event)
    elif event == "open" and set(str(args[1])) & set("wax+") and not str(args[0]).endswith((".pyc", ".pyo")) \
            and ".pyc." not in str(args[0]):
        seen.append((event, str(args[0])))
sys.addaudithook(hook)
for name in names:
    importlib.import_module(name)
print(seen, threading.active_count())
"""
    assert run(code) == "[] 1"


def test_the_provider_does_not_pay_for_what_it_does_not_use() -> None:
    """What a node's process has imported when it starts to serve: each of these costs megabytes on every node."""
    dear = "boto3 botocore.session botocore.client botocore.loaders moto flask tabulate driver.cli.demo driver.cli.lint"
    code = (
        f"import sys, driver.cli.provider, driver.app.mount; print([n for n in {dear.split()!r} if n in sys.modules])"
    )
    assert run(code) == "[]"


# --- totality


def below(kind: type[KeyferryError]) -> list[type[KeyferryError]]:
    return [kind for child in kind.__subclasses__() for kind in (child, *below(child))]


KINDS = [kind for kind in below(KeyferryError) if kind.__module__ == errors.__name__]


def example(kind: type[KeyferryError]) -> KeyferryError:
    if kind is Failures:
        return Failures([errors.NotFound("a", "b", "c"), errors.Throttled("d", "e", "f")])
    return errors.Internal() if kind is errors.Internal else kind("object", "cause", "remedy")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_a_real_code_that_never_empties_a_volume(kind: type[KeyferryError]) -> None:
    assert kind.code in grpc.StatusCode.__members__
    assert kind.code not in FORBIDDEN_CODES | {"OK"}
    code, text = status_of(example(kind))
    assert code in grpc.StatusCode.__members__
    assert code not in FORBIDDEN_CODES | {"OK"}
    assert text.startswith("keyferry: ")


def test_every_error_has_its_own_reason() -> None:
    reasons = Counter(kind.reason for kind in KINDS)
    assert [reason for reason, times in reasons.items() if times > 1] == []
    assert all(re.fullmatch(r"[A-Z][A-Za-z]+", reason) for reason in reasons)


@pytest.mark.parametrize("one", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("other", KINDS, ids=lambda kind: kind.__name__)
def test_no_mixture_of_errors_has_a_code_that_empties_a_volume(
    one: type[KeyferryError], other: type[KeyferryError]
) -> None:
    assert status_of(all_of([example(one), example(other)]))[0] not in FORBIDDEN_CODES | {"OK"}


def test_an_error_made_elsewhere_means_what_its_base_means() -> None:
    for module in IMPORTABLE:
        import_module(module)
    for kind in set(below(KeyferryError)) - set(KINDS):
        assert not {"code", "retryable"} & set(vars(kind)), kind


def test_the_forbidden_codes_are_grpcs() -> None:
    assert set(grpc.StatusCode.__members__) >= FORBIDDEN_CODES


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_module_with_add_arguments_and_main(name: str) -> None:
    module = import_module(f"driver.cli.{name}")
    assert callable(module.add_arguments)
    assert callable(module.main)


def test_every_operation_that_is_observed_has_a_time_series() -> None:
    """A name that the metrics do not know would be counted as ``other``."""
    names: set[object] = set()
    for call in (node for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.Call)):
        match (called(call), call.args):
            case ("Operation", [_, ast.Constant(name), *_]) | ("_observe", [ast.Constant(name), *_]):
                names.add(name)
    assert names >= {"GetSecretValue", "AssumeRoleWithWebIdentity"}
    assert names <= set(OPERATIONS)
