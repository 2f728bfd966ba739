"""The repository keeps the laws of the house, and each law is shown to notice a breach."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from functools import cache
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import house
from tests.conftest import REPOSITORY

Rule = Callable[[str, str], house.Complaints]

PRODUCT = ("stagewheel/",)
CODE = ("stagewheel/", "bench/")
ALL_CODE = ("stagewheel/", "bench/", "tests/", "examples/")
EVERYTHING = ("",)
MADE_BY_TOOLS = ("__pycache__", "build", "dist")
OURS = (".ci", ".gitignore")
TEXT_BYTES_MAX = 2_000_000


@cache
def texts() -> dict[str, str]:
    """Path -> text of every tracked file; in a plain folder without git, of every file that is ours."""
    found = {}
    for path in _tracked() or _walked():
        if path.is_file() and path.stat().st_size <= TEXT_BYTES_MAX:
            found[path.relative_to(REPOSITORY).as_posix()] = path.read_text(
                encoding="utf-8", errors="replace"
            )
    return found


def _tracked() -> list[Path]:
    if not (REPOSITORY / ".git").exists():
        return []
    command = ["git", "-C", os.fspath(REPOSITORY), "ls-files", "-z"]
    try:
        listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):  # no git here, or it does not trust the folder
        return []
    return [REPOSITORY / name for name in listing.split("\0") if name]


def _walked() -> list[Path]:
    return [path for path in REPOSITORY.rglob("*") if _is_ours(path.relative_to(REPOSITORY))]


def _is_ours(path: Path) -> bool:
    return not any(
        part in MADE_BY_TOOLS or part.endswith(".egg-info") or (part.startswith(".") and part not in OURS)
        for part in path.parts
    )


# ---- the repository ----


LAWS: dict[str, tuple[Rule, tuple[str, ...], str]] = {
    "rooms import what they may": (house.breaks_import_law, PRODUCT, ".py"),
    "what decides is pure": (house.is_impure, PRODUCT, ".py"),
    "no file and no function has two jobs": (house.is_too_long, CODE, ".py"),
    "rooms and modules say what they are": (house.says_not_what_it_is, CODE, ".py"),
    "nothing happens at import": (house.works_at_import, PRODUCT, ".py"),
    "no mark of unfinished work": (house.is_unfinished, ALL_CODE, ".py"),
    "tests neither sleep nor mock": (house.sleeps_or_mocks, ("tests/",), ".py"),
    "no registry and no path of one machine": (house.names_foreign_places, EVERYTHING, ""),
}


@cache
def complaints() -> dict[str, house.Complaints]:
    """What each law complains of; file by file, so that each is parsed once."""
    found: dict[str, house.Complaints] = {law: [] for law in LAWS}
    for path, text in sorted(texts().items()):
        for law, (rule, places, ending) in LAWS.items():
            if path.startswith(places) and path.endswith(ending):
                found[law] += rule(path, text)
    return found


@pytest.mark.parametrize("law", LAWS)
def test_the_repository_keeps_the_law(law: str) -> None:
    assert not complaints()[law], "\n".join(["", *complaints()[law]])


def test_the_files_that_the_laws_are_held_against_are_found() -> None:
    assert {
        "pyproject.toml",
        "stagewheel/__init__.py",
        "stagewheel/server/core/__init__.py",
    } <= texts().keys()
    assert not any(path.startswith(".venv/") for path in texts())


def test_a_plain_folder_without_git_yields_the_files_that_git_tracks() -> None:
    walked = {path.relative_to(REPOSITORY).as_posix() for path in _walked()}
    assert texts().keys() <= walked


# ---- each law notices a breach ----


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("stagewheel/server/ingress/router.py", "import zmq"),
        ("stagewheel/server/ingress/router.py", "from zmq import Context"),
        ("stagewheel/protocol/session.py", "import zmq"),
        ("stagewheel/server/actors/turn.py", "import lmdb"),
        ("stagewheel/server/channels/pool.py", "import dkim"),
        ("stagewheel/server/core/decide.py", "import trio"),
        ("stagewheel/server/core/decide.py", "from stagewheel.server.store import lmdb_store"),
        ("stagewheel/server/core/decide.py", "from ..store import tables"),
        ("stagewheel/server/core/decide.py", "from stagewheel.protocol import frames"),
        ("stagewheel/server/core/decide.py", "def late():\n    from stagewheel.clock import System"),
        ("stagewheel/client/core.py", "from stagewheel.server.limits import BATCH_COUNT_MAX"),
        ("stagewheel/client/blocking.py", "import trio"),
        ("stagewheel/server/senders/pool.py", "from stagewheel.client.core import Core"),
        ("stagewheel/server/senders/pool.py", "import stagewheel.cli.main"),
        ("stagewheel/server/senders/pool.py", "from stagewheel.server import app"),
        ("stagewheel/protocol/codec.py", "from stagewheel.server.core import item"),
        ("stagewheel/errors.py", "from stagewheel.protocol import messages"),
        ("stagewheel/server/stats.py", "import requests"),
    ],
)
def test_a_forbidden_import_is_noticed(path: str, line: str) -> None:
    assert len(house.breaks_import_law(path, line)) == 1


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("stagewheel/protocol/socket.py", "import zmq"),
        ("stagewheel/server/store/environment.py", "import lmdb"),
        ("stagewheel/server/channels/signature.py", "import dkim"),
        ("stagewheel/server/core/decide.py", "from stagewheel.protocol import journal, messages"),
        ("stagewheel/server/core/decide.py", "import msgspec\nfrom dataclasses import dataclass"),
        ("stagewheel/server/core/decide.py", "from . import item\nfrom .effects import StartTimer"),
        ("stagewheel/client/trio_client.py", "import trio"),
        ("stagewheel/server/app.py", "from stagewheel.server.store import environment"),
        (
            "stagewheel/cli/demo.py",
            "from stagewheel.client import blocking",
        ),
        ("stagewheel/server/app.py", "from stagewheel import __version__"),
    ],
)
def test_an_allowed_import_is_let_through(path: str, line: str) -> None:
    assert house.breaks_import_law(path, line) == []


@pytest.mark.parametrize(
    "text",
    [
        "import time",
        "from random import Random",
        "import os.path",
        "from datetime import datetime\nx = datetime.now()",
        "import datetime\nx = datetime.datetime.now(datetime.UTC)",
    ],
)
def test_an_impure_core_is_noticed(text: str) -> None:
    assert len(house.is_impure("stagewheel/server/core/decide.py", text)) == 1
    assert house.is_impure("stagewheel/server/app.py", text) == []


def test_a_file_of_401_lines_is_noticed() -> None:
    assert house.is_too_long("stagewheel/x.py", "x = 1\n" * 400) == []
    assert len(house.is_too_long("stagewheel/x.py", "x = 1\n" * 401)) == 1


@pytest.mark.parametrize("head", ["def f():\n", "class C:\n  async def f():\n"])
def test_a_function_of_71_lines_is_noticed(head: str) -> None:
    assert house.is_too_long("stagewheel/x.py", head + "    x = 1\n" * 69) == []
    assert len(house.is_too_long("stagewheel/x.py", head + "    x = 1\n" * 70)) == 1


def test_a_room_without_a_sentence_and_a_long_silent_module_are_noticed() -> None:
    assert len(house.says_not_what_it_is("stagewheel/x/__init__.py", "")) == 1
    assert len(house.says_not_what_it_is("stagewheel/x.py", "x = 1\n" * 31)) == 1
    assert house.says_not_what_it_is("stagewheel/x.py", '"""What it is."""\n' + "x = 1\n" * 31) == []


@pytest.mark.parametrize(
    "text",
    [
        "import zmq\nCONTEXT = zmq.Context()",
        "LIMIT = int(os.getenv('LIMIT'))",
        "class C:\n    started = time.time()",
        "if DEBUG:\n    print('hello')",
        "CACHE = {}",
        "SEEN: set[int] = set()",
        "BY_NAME = defaultdict(list)",
    ],
)
def test_work_at_import_is_noticed(text: str) -> None:
    assert len(house.works_at_import("stagewheel/x.py", text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    cache = {}\n    print(cache)",
        "TABLE = {'a': 1}",
        "EMPTY: Mapping[str, int] = {}",
        "class C(msgspec.Struct):\n    steps: list[int] = []",
        "NAMES = set('abc'.split())",
        "if __name__ == '__main__':\n    print('hello')",
        "def f(clock=lambda: time.time()):\n    return clock()",
    ],
)
def test_what_does_no_work_at_import_is_let_through(text: str) -> None:
    assert house.works_at_import("stagewheel/x.py", text) == []


@pytest.mark.parametrize(
    "mark", ["# TO" + "DO: later", "raise NotImplemented" + "Error", "x = 1  # FIX" + "ME"]
)
def test_a_mark_of_unfinished_work_is_noticed(mark: str) -> None:
    assert len(house.is_unfinished("stagewheel/x.py", mark)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "https://py" + "pi.org/simple",
        "--extra-index" + "-url=x",
        "cd /wo" + "rk/main",
        "open('/ho" + "me/someone/notes')",
    ],
)
def test_a_foreign_place_is_noticed(line: str) -> None:
    assert len(house.names_foreign_places("README.md", line)) == 1


def test_a_path_of_a_server_is_no_path_of_one_machine() -> None:
    assert house.names_foreign_places("README.md", "https://crm.example/wo" + "rk/7 and ./wo" + "rk/") == []


@pytest.mark.parametrize(
    "text",
    [
        "import time\ntime.sleep(1)",
        "from time import sleep",
        "from unittest." + "mock import Mock",
        "def test(monkeypatch):\n    monkeypatch." + "setattr(a, 'b', c)",
    ],
)
def test_a_test_that_sleeps_or_mocks_is_noticed(text: str) -> None:
    assert len(house.sleeps_or_mocks("tests/test_x.py", text)) == 1


# ---- what an install brings ----


def test_constraints_pin_every_package_that_the_extras_bring_and_no_other() -> None:
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(str(pin.specifier).startswith("==") and pin.url is None for pin in pins)
    assert {canonicalize_name(pin.name) for pin in pins} == _brought_by("dev")


def test_the_bare_install_is_the_client() -> None:
    assert _brought_by() == {"pyzmq", "msgspec"}


def test_client_and_protocol_import_on_a_bare_install() -> None:
    modules = [
        path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path in sorted(texts())
        if path.startswith(("stagewheel/client/", "stagewheel/protocol/")) and path.endswith(".py")
    ]
    shell_of_trio = "stagewheel.client.trio"  # the one shell that asks its user to have trio
    bare = [module for module in modules if not module.startswith(shell_of_trio)]
    refusal = _import_without("trio lmdb dkim jinja2 yaml click rich httpx sortedcontainers", bare)
    assert not refusal, refusal
    assert "refused: trio" in _import_without("trio", ["trio"]), "the canary"


def _import_without(absent: str, modules: list[str]) -> str:
    """What a fresh interpreter complains of when it imports `modules` while `absent` packages are refused."""
    program = f"""
import importlib, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent.split()!r}:
            raise ModuleNotFoundError("refused: " + name)
sys.meta_path.insert(0, Refuse())
for name in {modules!r}:
    importlib.import_module(name)
"""
    return subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False
    ).stderr


def _brought_by(*extras: str) -> set[str]:
    """Names of all packages, transitive ones included, that an install with these extras brings here."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    waiting = [Requirement(text) for text in project["dependencies"]]
    waiting += [Requirement(f"stagewheel[{extra}]") for extra in extras]
    seen: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        for extra in ["", *wanted.extras]:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            if name == "stagewheel":
                waiting += [Requirement(text) for text in project["optional-dependencies"].get(extra, [])]
                continue
            for text in requires(wanted.name) or []:
                needed = Requirement(text)
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    waiting.append(needed)
    return {name for name, _ in seen} - {"stagewheel"}
