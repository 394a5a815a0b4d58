"""Archive: questions over a generated corpus, answered with tools."""
