"""Pages of the reference: one a package, with its modules."""

import importlib
import importlib.util
import inspect
import re
from collections import defaultdict
from functools import cache
from typing import Any

from places import api_label, public_modules, write

__all__ = ["real_name", "write_pages"]


def write_pages() -> set[str]:
    """Write api/PACKAGE.rst of every package; return the documents."""
    packages: dict[str, list[str]] = defaultdict(list)
    for module, path in public_modules().items():
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        packages[package].append(module)
    for package, modules in packages.items():
        write(f"api/{package}.rst", "\n".join(_page(package, modules)))
    return {f"api/{package}" for package in packages}


def _page(package: str, modules: list[str]) -> list[str]:
    lines = []
    for module in modules:
        lines += [f".. _{api_label(module)}:", "", module, ("=" if module == package else "-") * len(module), ""]
        if module != package:
            lines += [f".. automodule:: {module}", "   :members:", ""]
            continue
        own, others = _own_names(module), _others(module)
        lines += [f".. automodule:: {module}", f"   :members: {', '.join(own)}" if own else "   :no-members:", ""]
        if others:
            lines += ["Names to import from here:", "", *(f"- :py:obj:`{n} <{real}>`" for n, real in others), ""]
    return lines


def _own_names(package: str) -> list[str]:
    """Public names that a package's own file defines."""
    module = importlib.import_module(package)
    return [name for name in getattr(module, "__all__", ()) if real_name(f"{package}.{name}") == f"{package}.{name}"]


def _others(package: str) -> list[tuple[str, str]]:
    """Public names of a package that a module in it defines, each with its full name there."""
    module = importlib.import_module(package)
    pairs = [(name, real_name(f"{package}.{name}")) for name in getattr(module, "__all__", ())]
    return [(name, real) for name, real in pairs if real and real != f"{package}.{name}"]


@cache
def real_name(name: str) -> str | None:
    """Where the object of a dotted name was defined; the name itself if it does not tell, None if
    there is no such object."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        for part in parts[cut:]:
            if not hasattr(found, part):
                return name if part == parts[-1] and (_sets(found, part) or _is_module(name)) else None
            found = getattr(found, part)
        if inspect.ismodule(found):
            return str(found.__name__)
        module, qualified = getattr(found, "__module__", None), getattr(found, "__qualname__", None)
        return f"{module}.{qualified}" if module and qualified else name
    return None


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False


def _sets(cls: Any, attribute: str) -> bool:
    """Whether a class declares an attribute of its instances, or one of its methods sets it."""
    if not inspect.isclass(cls):
        return False
    sources = (inspect.getsource(base) for base in cls.__mro__ if base.__module__.startswith("agentgym"))
    return any(re.search(rf"^\s+(self\.)?{attribute}\b.*[:=]", source, re.MULTILINE) for source in sources)
