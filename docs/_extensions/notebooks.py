"""Tutorials run before Sphinx reads, side by side, in processes forked from this one, which has imported the packages.

Outputs go into the cache from which myst-nb takes them. What was run by other code than today's is run again.
"""

import importlib
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from ipykernel.inprocess.manager import InProcessKernelManager
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from myst_nb.core.read import is_myst_markdown_notebook, myst_nb_reader_plugin
from places import DOCS, ROOT
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

__all__ = ["connect", "executed"]

os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # else the kernel's debugger warns

# What takes long to import. torch imports its compiler with the first optimizer.
_IMPORTED = ("torch._dynamo", "matplotlib.pyplot", "agentgym.agents.baselines.ppo", "agentgym.evaluation")
_LONGEST = 1200  # seconds for all, for hangs: a busy machine takes ten times as long
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_KEPT = ("stream", "display_data", "execute_result", "error")


class _Failed(Exception):
    """A cell raised an error; the message is its traceback."""


def executed(path: Path) -> tuple[Any, float]:
    """The notebook with outputs, run in a folder of its own; and how many seconds that took."""
    began = time.perf_counter()
    notebook = myst_nb_reader_plugin(str(path))
    manager = InProcessKernelManager()
    manager.start_kernel()
    notebook.metadata["language_info"] = nbformat.from_dict(manager.kernel.language_info)
    client = manager.client()
    client.start_channels()
    with tempfile.TemporaryDirectory() as folder:
        here = os.getcwd()
        os.chdir(folder)
        try:
            list(_said(client, "%matplotlib inline"))
            cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
            for number, cell in enumerate(cells, 1):
                cell.outputs, cell.execution_count = list(_said(client, cell.source)), number
        finally:
            os.chdir(here)
    return notebook, time.perf_counter() - began


def _said(client: Any, code: str) -> Iterator[Any]:
    """What the kernel says while it runs the code, as outputs of a notebook; text of one stream in one piece."""
    client.execute(code)
    text = None
    while True:
        message = client.get_iopub_msg(timeout=60)
        kind, content = message["header"]["msg_type"], message["content"]
        if kind == "status" and content["execution_state"] == "idle":
            break
        if kind == "error":
            raise _Failed(_COLOURS.sub("", "\n".join(content["traceback"])))
        if kind not in _KEPT:
            continue
        output = nbformat.v4.output_from_msg(message)
        if text is not None and kind == "stream" and output.name == text.name:
            text.text += output.text
            continue
        if text is not None:
            yield text
        text = output if kind == "stream" else None
        if text is None:
            yield output
    if text is not None:
        yield text


def _outcome(path: Path) -> tuple[Path, Any, float, str]:
    """What :func:`executed` gives, or why it failed."""
    try:
        return path, *executed(path), ""
    except _Failed as error:
        return path, None, 0.0, str(error)


def _stamp() -> str:
    """Of all code that a tutorial can call."""
    stamp = zlib.crc32(sys.version.encode())
    folders = ("agentgym", "envs", "agents", "evaluation")
    for path in [ROOT / "constraints.txt", *(path for name in folders for path in sorted((ROOT / name).rglob("*.py")))]:
        stamp = zlib.crc32(path.read_bytes(), stamp)
    return f"{stamp:08x}\n"


def _run(app: Sphinx) -> None:
    """Run the tutorials whose outputs are not in the cache."""
    folder = Path(app.config.nb_execution_cache_path)
    told, stamp = folder / "code.txt", _stamp()
    if not told.exists() or told.read_text() != stamp:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        told.write_text(stamp)
    cache = get_cache(str(folder))
    notebooks = [p for p in sorted(DOCS.glob("tutorials/*.md")) if is_myst_markdown_notebook(p.read_text("utf8"))]
    known = {record.uri for record in cache.list_cache_records()}
    stale = [path for path in notebooks if str(path) not in known or not _matches(cache, path)]
    app.tutorials_run = {path.relative_to(DOCS).with_suffix("").as_posix() for path in stale}  # type: ignore[attr-defined]
    if not stale:
        return
    for name in _IMPORTED:
        importlib.import_module(name)
    with multiprocessing.get_context("fork").Pool(max(1, app.parallel), maxtasksperchild=1) as pool:
        for path, notebook, seconds, error in pool.map_async(_outcome, stale, chunksize=1).get(_LONGEST):
            if error:
                raise ExtensionError(f"{path.relative_to(DOCS)} does not run:\n{error}")
            bundle = CacheBundleIn(notebook, str(path), data={"execution_seconds": seconds})
            cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def _matches(cache: Any, path: Path) -> bool:
    try:
        cache.match_cache_notebook(myst_nb_reader_plugin(str(path)))
    except KeyError:
        return False
    return True


def connect(app: Sphinx) -> None:
    """Run tutorials first of all, and have those that ran read again."""
    app.connect("builder-inited", _run, priority=100)
    app.connect("env-get-outdated", lambda app, *_: sorted(app.tutorials_run))
