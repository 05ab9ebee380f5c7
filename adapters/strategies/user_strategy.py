"""Find a user's strategy by its name, `module:function`."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from typing import Any, TypeAlias

from ports.strategy import StrategyNotFound

UserAnalyze: TypeAlias = Callable[..., Any]
"""`analyze(df, symbol, btc_bullish, config) -> (signal, confidence, row)`."""

_SPEC = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_PARAMETERS = ("df", "symbol", "btc_bullish", "config")


def load_user_strategy(spec: str) -> UserAnalyze:
    """Import the module and return the function. Runs the user's module code; StrategyNotFound says what is wrong."""
    if not _SPEC.fullmatch(spec):
        raise StrategyNotFound(f"{spec!r} does not name a strategy; write module:function, such as my_strategy:analyze")
    module_name, function_name = spec.split(":")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # the module is the user's: it may raise anything
        raise StrategyNotFound(_import_problem(module_name, error)) from error
    if not hasattr(module, function_name):
        raise StrategyNotFound(f"module {module_name} ({module.__file__}) has no function {function_name}")
    function: Any = getattr(module, function_name)
    if not callable(function):
        raise StrategyNotFound(f"{spec} is a {type(function).__name__}, not a function")
    _check_signature(spec, function)
    return function  # type: ignore[no-any-return]


def _import_problem(module_name: str, error: BaseException) -> str:
    top = module_name.partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and error.name in (module_name, top):
        return f"there is no module {module_name}; it has to lie in the working directory or on PYTHONPATH"
    return f"module {module_name} cannot be imported: {type(error).__name__}: {error}"


def _check_signature(spec: str, function: UserAnalyze) -> None:
    try:
        signature = inspect.signature(function)
    except ValueError:  # some functions written in C have none to read
        return
    try:
        signature.bind(*_PARAMETERS)
    except TypeError as error:
        wanted = ", ".join(_PARAMETERS)
        raise StrategyNotFound(f"{spec}{signature} cannot be called with ({wanted}): {error}") from error
    if inspect.iscoroutinefunction(function):
        raise StrategyNotFound(f"{spec} is a coroutine function; analyze has to be a plain one")
