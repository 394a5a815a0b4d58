"""The training loop of language agents: rollouts, batches, the surrogate loss and its hooks."""
