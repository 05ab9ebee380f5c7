"""Every alert that the code can send stands in the table of docs/operations.md with its severity, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from adapters.alerts.severities import CRITICAL_CODES, NEWS_CODES, severity_of

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("domain", "application", "adapters", "config", "entrypoints")

TAKES_A_CODE = {"Alert": 0}
"""What an alert's code is handed to, besides `send` of something called alerts, and at which place."""

TAKES_A_CODE_THERE = {"Tell": 0, "tell": 0, "_give_up": 1, "_strike": 1, "_settle": 1, "_count_failure": 0}
"""The same in adapters/hyperliquid/ alone: these names mean something else in other places."""

RELAYS = {("application/effect_runner.py", "code"), ("adapters/hyperliquid/lines.py", "code")}
"""Where a code is taken out of what carries it: it was collected where that was made."""


def codes_in(path: str, source: str) -> Iterator[str]:
    """The codes that a module sends. Raises where it cannot be told which one a call sends."""
    tree = ast.parse(source)
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    suffixes = dict(_suffixes(tree))
    takers = TAKES_A_CODE | (TAKES_A_CODE_THERE if path.startswith("adapters/hyperliquid/") else {})
    for name, argument, parameters in _sent(tree, takers):
        match argument:
            case ast.Constant(value=str(code)):
                yield code + suffixes.get(name, "")
            case ast.Name(id=constant) if constant in constants:
                yield constants[constant] + suffixes.get(name, "")
            case ast.Name(id=forwarded) if forwarded in parameters or (path, forwarded) in RELAYS:
                pass  # its callers are looked at, or whoever made what is relayed
            case ast.JoinedStr(values=[ast.FormattedValue(value=ast.Name(id=forwarded)), ast.Constant()]) if (
                forwarded in parameters
            ):
                pass  # see `_suffixes`
            case _:
                raise AssertionError(f"{path}: which alert is {ast.unparse(argument)}?")


def _sent(tree: ast.Module, takers: Mapping[str, int]) -> Iterator[tuple[str, ast.expr, set[str]]]:
    """Calls that take a code: the function's name, the code as it is written, and what the caller got as arguments."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            takes = {each.arg for each in function.args.args} if function.name in takers else set()
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and (place := _place_of_code(node, takers)) is not None:
                    yield _name_of(node.func), node.args[place], takes


def _suffixes(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Functions that send their code with something behind it."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                match node:
                    case ast.Call(
                        func=ast.Attribute(attr="send"),
                        args=[ast.JoinedStr(values=[ast.FormattedValue(), ast.Constant(value=str(suffix))]), _],
                    ):
                        yield function.name, suffix
                    case _:
                        pass


def _place_of_code(call: ast.Call, takers: Mapping[str, int]) -> int | None:
    name = _name_of(call.func)
    is_alert = isinstance(call.func, ast.Attribute) and "alert" in ast.unparse(call.func.value).lower()
    place = 0 if name == "send" and is_alert else takers.get(name)
    is_code = place is not None and len(call.args) > max(place, 1) and not isinstance(call.args[place], ast.Attribute)
    return place if is_code else None


def _name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def every_code() -> set[str]:
    files = (path for package in PACKAGES for path in sorted((REPOSITORY / package).rglob("*.py")))
    paths = [path.relative_to(REPOSITORY).as_posix() for path in files]
    own = [path for path in paths if not path.startswith(("adapters/alerts/", "adapters/sim/venue/"))]
    return {code for path in own for code in codes_in(path, (REPOSITORY / path).read_text("utf-8"))}


def documented() -> dict[str, str]:
    """By code, the severity in the operations page's table."""
    page = (REPOSITORY / "docs" / "operations.md").read_text("utf-8")
    section = page.partition("\n### Every alert\n")[2].partition("\n#")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| [^|]+ \| [^|]+ \|$", section, re.MULTILINE)
    codes = [code for code, _ in rows]
    assert len(codes) == len(set(codes)) == section.count("\n| `"), "one whole row each"
    return dict(rows)


def test_every_alert_is_documented_with_its_severity() -> None:
    assert documented() == {code: severity_of(code).word for code in every_code()}


def test_no_severity_is_of_an_alert_that_nobody_sends() -> None:
    assert (CRITICAL_CODES | NEWS_CODES) - every_code() == set()


def test_codes_are_found_however_they_are_handed_on() -> None:
    source = """
DIRECT = "d"
def one(step, alerts):
    step.effects.append(Alert("a", "text"))
    self._alerts.send("b", "text")
    socket.send("no alert")
    self._count_failure(DIRECT, "text")
def _count_failure(self, source, text):
    self._alerts.send(f"{source}_unknown", text)
def tell(self, code, text):
    alerts.send(code, text)
"""
    assert sorted(codes_in("adapters/hyperliquid/x.py", source)) == ["a", "b", "d_unknown"]
    for unclear in ("def f(alerts, code):\n    alerts.send(code, 'x')", "def f(n):\n    Alert('x' + n, 'y')"):
        with pytest.raises(AssertionError, match="which alert"):
            list(codes_in("x.py", unclear))
