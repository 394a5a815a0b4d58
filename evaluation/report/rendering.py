"""Rendering of the report's Jinja templates. All values are escaped except the output of templates."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

__all__ = ["render"]

_TEMPLATES = Environment(
    loader=PackageLoader("agentgym.evaluation.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, **values: Any) -> Markup:
    """Render a file of ``templates/``."""
    return Markup(_TEMPLATES.get_template(template).render(values))
