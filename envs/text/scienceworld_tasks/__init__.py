"""ScienceWorld's tasks as text worlds."""
