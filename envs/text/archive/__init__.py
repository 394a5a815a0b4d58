"""Archive: questions about a generated corpus, answered with tools."""
