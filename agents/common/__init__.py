"""Code shared by all agents: base classes, networks, fast updates, saving, and an adapter for Gymnasium's VectorEnv."""
