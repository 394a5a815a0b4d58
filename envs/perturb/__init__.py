"""Perturbations of observations, actions, rewards and dynamics, for any environment.

>>> import gymnasium
>>> env = perturb(gymnasium.make("Pendulum-v1"), ObservationNoise(std=0.05), ActionDelay(steps=2))
>>> observation, info = env.reset(seed=0)
>>> info["perturbed"]
{'ObservationNoise': True, 'ActionDelay': False}

README.md, the card, lists every effect with its formula and source.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
