"""Methods for language agents, one file each.

A file holds everything that belongs to its method: the advantage estimator or the plug-in, and, if the catalog lists
an agent for it, the agent and its settings. ``plugin.py`` has the base class.
"""
