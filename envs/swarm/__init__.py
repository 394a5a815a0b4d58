"""Fluid swarms: drones that move as a gas through ducts, scored against the flow that they imitate."""
