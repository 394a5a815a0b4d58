"""The site: Sphinx, furo, MyST. ``make docs`` builds it into docs/_build/html, strictly and without a network.

Cards, manuals of environments, hyperparameters and options are read from the code (docs/_extensions); pages under
start, use, extend and understand are written by hand.
"""

import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))
os.environ.setdefault("MUJOCO_GL", "egl")  # films of MuJoCo without a screen

import inventories  # noqa: E402  (found by the line above)

project = "agentgym"
copyright = "the authors of agentgym"
release = version = version_of("agentgym")
html_title = f"agentgym {release}"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinx_copybutton",
    "site_pages",
]
exclude_patterns = ["_build", "_extensions", "examples", "jupyter_execute", "**/.ipynb_checkpoints"]
nitpicky = True

# Markdown.
myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
myst_dmath_double_inline = True
suppress_warnings = ["myst.header", "misc.highlighting_failure"]  # cards may skip a level; transcripts are no language

# Tutorials are run by docs/_extensions/notebooks.py, into this cache.
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / "notebooks")
nb_execution_raise_on_error = True
nb_execution_in_temp = True  # runs and datasets of tutorials do not stay beside the pages
nb_execution_excludepatterns = ["cards/**"]

# The reference.
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True

# Sites of the packages that this one is built on. Without a network the build is complete, with plain names for links.
intersphinx_mapping = inventories.reachable(
    {
        "python": "https://docs.python.org/3/",
        "numpy": "https://numpy.org/doc/stable/",
        "torch": "https://docs.pytorch.org/docs/stable/",
        "gymnasium": "https://gymnasium.farama.org/",
        "pettingzoo": "https://pettingzoo.farama.org/",
        "stable_baselines3": "https://stable-baselines3.readthedocs.io/en/master/",
    },
    HERE / "_build" / "inventories",
)
nitpick_ignore_regex = [
    ("py:.*", rf"({'|'.join(inventories.FOREIGN)})(\..*)?"),
    ("py:class", "VecEnv|Process"),  # imported for annotations only
]

# The looks.
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_search_summary = False  # a browser that opens the site from disk may not fetch pages
html_show_sourcelink = False
html_last_updated_fmt = None
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f5f99", "color-brand-content": "#1f5f99"},
    "dark_css_variables": {"color-brand-primary": "#7fb8ea", "color-brand-content": "#7fb8ea"},
}
pygments_style, pygments_dark_style = "default", "monokai"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
