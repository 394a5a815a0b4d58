"""Inventories of other sites, for links into them where a network answers."""

import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

# Top-level packages whose names may stand in signatures without a page to link to.
FOREIGN = (
    "abc", "ale_py", "argparse", "array", "builtins", "collections", "contextlib", "dataclasses", "enum",
    "filelock", "functools", "gymnasium", "importlib", "inspect", "io", "joblib", "logging", "matplotlib",
    "minari", "mujoco", "multiprocessing", "np", "numpy", "optuna", "os", "pathlib", "pettingzoo", "plotly",
    "random", "ray", "rich", "safetensors", "sb3_contrib", "scipy", "stable_baselines3", "subprocess", "textworld",
    "threading", "tokenizers", "torch", "transformers", "types", "typing", "typing_extensions", "tyro", "uuid",
)  # fmt: skip


def reachable(sites: Mapping[str, str], cache: Path, timeout: float = 5) -> dict[str, tuple[str, str]]:
    """Sphinx's ``intersphinx_mapping`` of the sites whose inventory is in the cache or can be fetched now.

    Args:
        sites: address by name; each has an ``objects.inv``.
        cache: folder of the inventories; one that is there is used as it is.
        timeout: in seconds. After the first site that cannot be reached no other is tried.
    """
    mapping = {}
    for name, address in sites.items():
        path = cache / f"{name}.inv"
        if not path.exists():
            try:
                with urllib.request.urlopen(f"{address}objects.inv", timeout=timeout) as answer:
                    content = answer.read()
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                break
            if not content.startswith(b"# Sphinx inventory version 2"):  # a captive portal, for example
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        mapping[name] = (address, str(path))
    return mapping
