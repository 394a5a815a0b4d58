"""Compiled functions whose cache on disk any change of this folder's sources makes void.

Numba's cache knows the file of the function that was compiled, not the files of the functions that it calls. The cache
is named after the function, so a stamp of all sources in the name keeps stale machine code from being used.
"""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from numba import njit

__all__ = ["compiled", "inner"]

Function = TypeVar("Function", bound=Callable[..., Any])

_SOURCES = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
STAMP = zlib.crc32(b"".join(source for source in _SOURCES if b"swarm.compiled import" in source or b"@inner" in source))


def compiled(function: Function) -> Function:
    """Compile on the first call, keep the machine code on disk, and let other threads run meanwhile."""
    function.__qualname__ += f"_{STAMP:08x}"
    made: Any = njit(cache=True, nogil=True, error_model="numpy")
    return made(function)


def inner(function: Function) -> Function:
    """Compile as a part of the :func:`compiled` functions that call it; Python cannot call it but by ``py_func``."""
    options: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # less to compile
    made: Any = njit(nogil=True, error_model="numpy", **options)
    return made(function)
