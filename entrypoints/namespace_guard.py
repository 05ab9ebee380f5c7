"""A guard against other people's packages with our names.

`config`, `domain` or `adapters` are names that anyone may use. A folder of that name in the wrong place, or a
distribution that installs one, can come first on the import path, and the daemon would then trade with somebody
else's code. So every entrypoint asks here before it imports anything else of ours.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

OUR_PACKAGES = ("domain", "ports", "application", "adapters", "config", "entrypoints")
EXIT_CONFIGURATION = 3


def refuse_foreign_packages() -> None:
    """Leave with exit code 3 and a plain message unless all our packages lie in one folder, the one of this file.

    Looks without importing. Cheap enough for every start, and silent when all is well.
    """
    root = Path(__file__).resolve().parents[1]
    foreign = [(name, places) for name in OUR_PACKAGES if (places := _places(name)) != [root / name]]
    if not foreign:
        return
    lines = ["Cannot start: Python would load packages that are not ours."]
    for name, places in foreign:
        found = ", ".join(str(place) for place in places) or "nothing"
        lines.append(f"  {name}: found {found}; expected {root / name}")
    lines += [
        "Why: something else on the import path uses the same name and comes first, or this checkout is incomplete.",
        "What to do: start with ./run or ./aiq. If that says the same, rename the folder shown above, take it off",
        "PYTHONPATH, or uninstall the distribution that brought it.",
    ]
    print("\n".join(lines), file=sys.stderr)
    sys.exit(EXIT_CONFIGURATION)


def _places(name: str) -> list[Path]:
    """Say where `import name` would look: a package's folders, a module's file, or nowhere."""
    spec = find_spec(name)
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return [Path(folder).resolve() for folder in spec.submodule_search_locations]
    return [Path(spec.origin or "?").resolve()]
