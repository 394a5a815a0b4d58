"""Full-text search by BM25 (Robertson and Zaragoza 2009), computed by bm25s (Lù, arXiv 2407.03618)."""

from collections.abc import Sequence

import numpy as np

from agentgym.envs.text.language import words
from agentgym.errors import MissingExtra

__all__ = ["Index"]


class Index:
    """An inverted index over texts, with bm25s's defaults: Lucene's variant of BM25, k1 = 1.5, b = 0.75.

    Args:
        texts: the documents.

    Raises:
        MissingExtra: bm25s is not installed.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        try:
            import bm25s
        except ImportError as error:
            raise MissingExtra("bm25s", "text") from error
        self._bm25 = bm25s.BM25()
        self._bm25.index([words(text) for text in texts], show_progress=False)
        self._known = {word for text in texts for word in words(text)}

    def search(self, query: str, results: int) -> list[int]:
        """The numbers (from 1) of the best documents, best first. Ties go to the lower number.

        Documents without a word of the query are excluded.
        """
        terms = [word for word in words(query) if word in self._known]
        if not terms:
            return []
        scores = self._bm25.get_scores(terms)
        best = np.argsort(-scores, kind="stable")[:results]
        return [int(n) + 1 for n in best if scores[n] > 0]
