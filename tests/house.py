"""The laws of the house as functions: a file's path and text go in, complaints come out.

Laws: every rule is pure, so that `test_house.py` can feed it a text that breaks it and see it speak; a rule
names the place, what is wrong and where the thing belongs. Paths are relative to the repository.

Why imports are read from the syntax tree and not watched at run time: an import inside a function or under
TYPE_CHECKING binds two rooms as well, and no test may run it.
"""

import ast
import re
import sys
from collections.abc import Iterator
from functools import lru_cache

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
UNDOCUMENTED_LINES_MAX = 30  # a longer module opens with what it is

# Where each third-party package may be imported: a folder or file by the beginning of its path.
# A package that does not stand here is no dependency of the product.
THIRD_PARTY_PLACES: dict[str, tuple[str, ...]] = {
    "msgspec": ("stagewheel/",),
    "zmq": ("stagewheel/protocol/socket.py",),
    "lmdb": ("stagewheel/server/store/",),
    "dkim": ("stagewheel/server/channels/signature.py",),
    "httpx": ("stagewheel/server/channels/",),
    "jinja2": ("stagewheel/server/", "stagewheel/cli/"),
    "markupsafe": ("stagewheel/server/rules/",),
    "yaml": ("stagewheel/server/rules/yaml.py",),
    "sortedcontainers": ("stagewheel/server/",),
    "holidays": ("stagewheel/server/rules/",),
    "icalendar": ("stagewheel/server/rules/",),
    "fpdf": ("stagewheel/server/channels/pdf.py",),
    "PIL": ("stagewheel/server/channels/pdf.py",),
    "segno": ("stagewheel/server/channels/qr.py",),
    "phonenumbers": ("stagewheel/server/rules/", "stagewheel/server/channels/numbers.py"),
    "trio": ("stagewheel/client/trio", "stagewheel/server/", "stagewheel/cli/"),
    "click": ("stagewheel/cli/",),
    "rich": ("stagewheel/cli/",),
    "starlette": ("stagewheel/server/edge/",),
    "hypercorn": ("stagewheel/server/edge/process.py",),
    "prometheus_client": ("stagewheel/server/edge/metrics.py",),
    "aiosmtpd": ("stagewheel/cli/", "stagewheel/server/inbound/listener.py"),
}

# The one room that stands on nothing but the standard library and this.
CORE = "stagewheel/server/core/"
CORE_THIRD_PARTY = "msgspec"

# What a room may import of our own; the first entry whose path begins the file's path decides.
ROOMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        CORE,
        (
            "stagewheel.errors",
            "stagewheel.protocol.messages",
            "stagewheel.protocol.journal",
            "stagewheel.server.core",
        ),
    ),
    (
        "stagewheel/server/",
        ("stagewheel.errors", "stagewheel.clock", "stagewheel.protocol", "stagewheel.server"),
    ),
    ("stagewheel/protocol/", ("stagewheel.errors", "stagewheel.clock", "stagewheel.protocol")),
    (
        "stagewheel/client/",
        ("stagewheel.errors", "stagewheel.clock", "stagewheel.protocol", "stagewheel.client"),
    ),
    ("stagewheel/cli/", ("stagewheel",)),
    ("stagewheel/", ("stagewheel.errors", "stagewheel.clock")),
)
FREE_FOR_ALL = ("stagewheel", "stagewheel.__version__")
BUILDER = "stagewheel.server.app"  # knows every room, so no room may know it

# The files a visitor reads first compute; with a clock, a die, a file or a socket tests would prove nothing.
PURE_PLACES = (
    CORE,
    "stagewheel/server/timers/wheel.py",
    "stagewheel/server/senders/assign.py",
    "stagewheel/server/channels/smtp_talk.py",
    "stagewheel/protocol/session.py",
    "stagewheel/server/edge/signing.py",
    "stagewheel/server/edge/picks.py",
    "stagewheel/server/edge/rate.py",
    "stagewheel/server/edge/contact.py",
    "stagewheel/server/inbound/returning.py",
    "stagewheel/server/inbound/reading.py",
    "stagewheel/server/inbound/reports.py",
    "stagewheel/server/inbound/html_text.py",
)
IMPURE_MODULES = frozenset(
    {
        *("asyncio", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets", "select"),
        *("selectors", "shutil", "signal", "socket", "ssl", "subprocess", "tempfile", "threading", "time"),
        *("trio", "uuid", "zmq"),
    }
)
CLOCK_READS = re.compile(r"(datetime\.)?(datetime|date)\.(now|utcnow|today)")

# What must not run because somebody imports a module: configuration is passed, never read from a global.
IMPORT_TIME_CALLS = re.compile(
    r"(open|print|input|os\.(getenv|environ\..*|makedirs|mkdir)|time\..*|random\..*|datetime\.(\w+\.)?now"
    r"|logging\.basicConfig|signal\.signal|subprocess\..*|socket\..*|threading\..*|(zmq|trio|lmdb|httpx)\..*)"
)
READ_ONLY = re.compile(r"\b(Mapping|Sequence|Set)\b")  # mypy guards a global of such a type
EMPTY_CONTAINERS = frozenset({"list", "dict", "set", "defaultdict", "deque", "OrderedDict", "Counter"})

# Each is cut with a bracket, so that this file does not complain of itself.
UNFINISHED = re.compile(r"\b(TOD[O]|FIXM[E]|XX[X]|HAC[K])\b|NotImplementedErro[r]")
FOREIGN = {
    "names a package registry": re.compile(r"pyp[i]\.org|pythonhoste[d]|npmj[s]\.|deb\.debia[n]"),
    "names where to install from": re.compile(r"\b(index-ur[l]|find-link[s])\b"),
    "holds a path of one machine": re.compile(r"(?<![\w.])/(wor[k]|roo[t]|hom[e]/\w+|User[s]/\w+)/"),
}
MOCKS = re.compile(r"unittest\.moc[k]|\b(Magic|Async)Moc[k]\b|\bpytest_moc[k]\b|monkeypatch\.setatt[r]")

Complaints = list[str]


def breaks_import_law(path: str, text: str) -> Complaints:
    """Imports that bind a room to one it must not know, or a package outside its one place."""
    return [
        f"{path}:{line}: {why}"
        for line, module in imports(path, text)
        if (why := _third_party_complaint(path, module) or _room_complaint(path, module))
    ]


def _third_party_complaint(path: str, module: str) -> str:
    package = module.partition(".")[0]
    if package == "stagewheel" or package in sys.stdlib_module_names:
        return ""
    if path.startswith(CORE) and package != CORE_THIRD_PARTY:
        return f"imports {package}; {CORE} stands on the standard library and {CORE_THIRD_PARTY} only"
    places = THIRD_PARTY_PLACES.get(package)
    if places is None:
        return f"imports {package}, which is no dependency of the product"
    if not path.startswith(places):
        return f"imports {package}, which stands only in {', '.join(places)}"
    return ""


def _room_complaint(path: str, module: str) -> str:
    if not _within(module, "stagewheel") or module in FREE_FOR_ALL:
        return ""
    room, allowed = next((room, allowed) for room, allowed in ROOMS if path.startswith(room))
    if not any(_within(module, name) for name in allowed):
        return f"imports {module}, but {room} may import only {', '.join(allowed)}"
    in_a_server_room = path.startswith("stagewheel/server/") and path.count("/") > 2
    if in_a_server_room and _within(module, BUILDER):
        return f"imports {BUILDER}: it knows every room, no room knows it"
    return ""


def is_impure(path: str, text: str) -> Complaints:
    """Imports and calls by which a pure file would touch the world: clocks, dice, files, sockets, threads."""
    if not path.startswith(PURE_PLACES):
        return []
    found = [
        f"{path}:{line}: imports {module}; this file is pure, pass in what it needs"
        for line, module in imports(path, text)
        if module.partition(".")[0] in IMPURE_MODULES
    ]
    return found + [
        f"{path}:{node.lineno}: reads the clock; the moment is an argument here"
        for node in ast.walk(tree(text))
        if isinstance(node, ast.Call) and CLOCK_READS.fullmatch(dotted(node.func))
    ]


def is_too_long(path: str, text: str) -> Complaints:
    """A file or a function with two jobs."""
    found = []
    if (lines := len(text.splitlines())) > FILE_LINES_MAX:
        found.append(f"{path}: {lines} lines, at most {FILE_LINES_MAX}: it is a room with two jobs")
    for node in ast.walk(tree(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                found.append(
                    f"{path}:{node.lineno}: {node.name} has {length} lines, at most {FUNCTION_LINES_MAX}"
                )
    return found


def says_not_what_it_is(path: str, text: str) -> Complaints:
    """A room without its one sentence, or a module beyond a few lines that does not open with what it is."""
    if ast.get_docstring(tree(text)):
        return []
    if path.endswith("/__init__.py"):
        return [f"{path}: no docstring; one sentence says what the room is for"]
    if len(text.splitlines()) > UNDOCUMENTED_LINES_MAX:
        return [f"{path}: no docstring; it opens with what it is, its laws, and why this way"]
    return []


def works_at_import(path: str, text: str) -> Complaints:
    """Module-level calls that touch the world, and module-level containers that wait to be filled."""
    body = tree(text).body
    found = [
        f"{path}:{node.lineno}: calls {dotted(node.func)} at import; build it in app.py"
        for node in _module_level(body)
        if isinstance(node, ast.Call) and IMPORT_TIME_CALLS.fullmatch(dotted(node.func))
    ]
    # In a class body an empty container is the default of a Struct's field, copied for each instance.
    return found + [
        f"{path}:{node.lineno}: a global that waits to be filled; pass it instead (a constant is a Mapping)"
        for node in body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and _is_empty_container(node.value)
        and not (isinstance(node, ast.AnnAssign) and READ_ONLY.search(ast.unparse(node.annotation)))
    ]


def _module_level(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """Every node that runs at import: not the bodies of functions, and not what stands under `__main__`."""
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "__name__" in ast.dump(node.test):
            continue
        yield node
        waiting.extend(ast.iter_child_nodes(node))


def _is_empty_container(value: ast.expr | None) -> bool:
    match value:
        case ast.List(elts=[]) | ast.Dict(keys=[]):
            return True
        case ast.Call(func=func):
            # defaultdict(list) and deque(maxlen=9) are empty too; list(names) is not.
            name = dotted(func).rpartition(".")[2]
            filled = value.args and name not in {"defaultdict"}
            return name in EMPTY_CONTAINERS and not filled
    return False


def is_unfinished(path: str, text: str) -> Complaints:
    """Marks of work that was put off."""
    return [
        f"{path}:{number}: a mark of unfinished work"
        for number, line in enumerate(text.splitlines(), 1)
        if UNFINISHED.search(line)
    ]


def names_foreign_places(path: str, text: str) -> Complaints:
    """Registry hosts and paths that exist on one machine only."""
    return [
        f"{path}:{number}: {what}"
        for number, line in enumerate(text.splitlines(), 1)
        for what, pattern in FOREIGN.items()
        if pattern.search(line)
    ]


def sleeps_or_mocks(path: str, text: str) -> Complaints:
    """A test that waits for time to pass, or that replaces a part by one nobody proved to be like it."""
    mocks = [number for number, line in enumerate(text.splitlines(), 1) if MOCKS.search(line)]
    sleeps: list[int] = []
    if "sleep" in text:  # nearly no file has the word, and a tree takes its time
        sleeps = [line for line, module in imports(path, text) if module == "time.sleep"]
        sleeps += [
            node.lineno
            for node in ast.walk(tree(text))
            if isinstance(node, ast.Call) and dotted(node.func) == "time.sleep"
        ]
    return [f"{path}:{line}: mocks; use a fake that passes the suite of the real thing" for line in mocks] + [
        f"{path}:{line}: sleeps; use a virtual clock or wait for the event itself" for line in sleeps
    ]


@lru_cache(maxsize=1)
def tree(text: str) -> ast.Module:
    """The syntax of a file; the last one is kept for the next law."""
    return ast.parse(text)


def imports(path: str, text: str) -> Iterator[tuple[int, str]]:
    """(line, full dotted name) of all that a file imports; `from a import b` is `a.b`, relative ones too."""
    package = path.removesuffix(".py").split("/")[:-1]
    for node in ast.walk(tree(text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            parts = [*base, *([node.module] if node.module else [])]
            for alias in node.names:
                yield node.lineno, ".".join([*parts, alias.name])


def dotted(node: ast.expr) -> str:
    """`a.b.c` of a name with attributes; empty when it begins with anything else, such as a call."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([node.id, *reversed(names)])


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")
