"""What agents share: the base classes, networks and fast updates, saving, and the bridge to Gymnasium's VectorEnv."""
