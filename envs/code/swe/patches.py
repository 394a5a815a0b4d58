"""Unified diffs, applied by git to files held in memory."""

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from agentgym.errors import AskError, InvalidParameter

__all__ = ["PatchFails", "apply", "touched"]

_HEADER = re.compile(r"^(?:--- |\+\+\+ |rename from |rename to |copy from |diff --git )(.+)$", re.MULTILINE)


class PatchFails(InvalidParameter):
    """A patch that does not apply; the message is git's."""


def apply(files: Mapping[str, str], patch: str, reverse: bool = False) -> dict[str, str]:
    """The files after a patch.

    Args:
        files: texts by path; bytes that are no UTF-8 as surrogates.
        patch: a unified diff with paths below ``a/`` and ``b/``.
        reverse: undo the patch instead.

    Raises:
        PatchFails: it does not apply, is no patch, or makes a link.
        AskError: git is not installed.
    """
    if not patch.strip():
        return dict(files)
    named = _named(patch) & set(files)
    with tempfile.TemporaryDirectory(prefix="agentgym-patch-") as place:
        root = Path(place) / "files"
        root.mkdir()
        for path in named:
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(files[path].encode("utf-8", "surrogateescape"))
        # No repository around the folder and no settings of the user: both would change what git does.
        clean = {
            "PATH": os.environ.get("PATH", os.defpath), "GIT_CEILING_DIRECTORIES": place, "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull, "LC_ALL": "C", "HOME": place,
        }  # fmt: skip
        line = ["git", "apply", "--whitespace=nowarn", *(["--reverse"] if reverse else []), "-"]
        data = (patch if patch.endswith("\n") else patch + "\n").encode("utf-8", "surrogateescape")
        try:
            done = subprocess.run(line, input=data, cwd=root, env=clean, capture_output=True, check=False)
        except FileNotFoundError as error:
            raise AskError("Patches are applied by git, which is not installed (Debian: apt install git).") from error
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise PatchFails(said[0].removeprefix("error: ") if said else "git gives no reason")
        after = {path: text for path, text in files.items() if path not in named}
        for found in sorted(root.rglob("*")):
            if found.is_symlink():
                raise PatchFails(f"it makes a link ({found.relative_to(root)})")
            if found.is_file():
                after[str(found.relative_to(root))] = found.read_bytes().decode("utf-8", "surrogateescape")
    return after


def touched(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str | None]:
    """The files that differ, as they are afterwards; None: removed."""
    return {path: after.get(path) for path in sorted({*before, *after}) if before.get(path) != after.get(path)}


def _named(patch: str) -> set[str]:
    """Paths that headers of a patch may name. Lines of its hunks that look like headers add some that do no harm."""
    found: set[str] = set()
    for header in _HEADER.findall(patch):
        text = header.split("\t")[0].rstrip("\r")
        middle = len(text) // 2
        for name in (text, text[:middle], text[middle + 1 :]):  # "a/x b/x" has the path twice
            found |= {name, name[2:]}
    return found
