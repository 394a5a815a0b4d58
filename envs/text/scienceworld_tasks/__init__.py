"""ScienceWorld's experiments as text worlds."""
