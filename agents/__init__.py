"""Agents, all with one contract.

The command line, the evaluation and user code treat all agents alike, because every agent follows these rules:

- It is a class in Stable-Baselines3's shape: ``Agent(policy, env, seed=..., device=..., **arguments)``, then
  ``learn(total_timesteps, callback, progress_bar=...)``, ``predict(observation, deterministic=...)``,
  ``save(folder)`` and ``Agent.load(folder, env=None)``. ``env`` is an id, a Gymnasium ``Env`` or ``VectorEnv``, or
  a Stable-Baselines3 ``VecEnv``. ``agents.common.agent`` has the base classes.
- ``Agent.Config`` is a dataclass of plain fields, every hyperparameter once, with its check and its presets
  (:class:`agentgym.contracts.settings.AgentConfig`). The constructor takes the fields by keyword:
  ``SAC("MlpPolicy", env, preset="mujoco", learning_rate=1e-3)``, or ``**config.to_kwargs()``.
- ``Agent.traits`` (:class:`agentgym.contracts.agent.Traits`) states how it differs from other agents: what it learns
  from, whether it observes rewards or predicts returns, and which suite suits it. :mod:`agentgym.contracts.agent`
  has the contract as a ``Protocol``.
- ``Agent.catalog_name`` is its id in :mod:`agentgym.catalog`; ``agents.common.saving.load_agent(folder)`` finds
  the class of a saved agent by it.

``from agentgym.agents import SAC`` imports only what SAC needs; ``__init__.pyi`` beside this file lists all names.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
