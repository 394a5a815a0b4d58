"""The report's HTML comes from Jinja templates; every value is escaped unless a template made it."""

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
    """The HTML of one file of ``templates/``."""
    return Markup(_TEMPLATES.get_template(template).render(values))
