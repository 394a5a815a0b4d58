"""Pictures of conditions, kept in the evaluation as text and shown in a tab of the report."""

import base64
from collections.abc import Mapping

import imageio.v3 as imageio
import numpy as np
from markupsafe import Markup

__all__ = ["pictures_tab", "png"]


def png(picture: np.ndarray) -> str:
    """A picture, uint8 [height, width, 3], as PNG in base64."""
    return base64.b64encode(imageio.imwrite("<bytes>", picture, extension=".png")).decode("ascii")


def pictures_tab(pictures: Mapping[str, str]) -> Markup:
    """The body of the tab: every picture with its name."""
    figures = [
        Markup(
            '<figure style="display:inline-block;margin:8px"><img alt="{name}" src="data:image/png;base64,{data}">'
            "<figcaption>{name}</figcaption></figure>"
        ).format(name=name, data=data)
        for name, data in pictures.items()
    ]
    return Markup("").join(figures)
