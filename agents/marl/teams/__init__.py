"""Teams whose critics see every agent."""
