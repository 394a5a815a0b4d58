"""What goes wrong between a language agent and its world: perturbations of texts, commands and tools."""
