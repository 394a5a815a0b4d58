"""Code repair as a world of few words that small agents can learn: everything that is known stands in a table."""
