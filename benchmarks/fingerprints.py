"""Hashes of a short run of every agent: final weights and evaluation rows. Did a change of the code change a result?

    python benchmarks/fingerprints.py --out before.json            # in the checkout before the change
    python benchmarks/fingerprints.py --against before.json        # after it: prints what differs, exit code 1 if any

Hashes hold on one machine with one set of versions, so they are compared, never stored as expected values.
"""

import argparse
import hashlib
import json
import sys
import tempfile
import warnings
from pathlib import Path

import gymnasium
import minari
import numpy as np
from minari.data_collector import EpisodeBuffer

from agentgym import catalog
from agentgym.evaluation.evaluate import evaluate
from agentgym.recipes.make import make_dataset
from agentgym.runs.run import RunConfig
from agentgym.runs.train import train

OFF_POLICY = {"learning_starts": 50, "batch_size": 32, "buffer_size": 1000}
ON_POLICY = {"n_steps": 64}
LANGUAGE = {"tasks": 2, "group_size": 4, "imitation_batches": 2}
SEQUENCE = {"width": 32, "layers": 1, "batch_size": 8}
HOME = {"env": "agentgym/Household-v0", "env_kwargs": {"size": "tiny"}, "steps": 400}
ICE = {"dataset": "frozenlake:slip=0.6,trajectories=60", "steps": 40}
PENDULUM = {"dataset": "fingerprints/pendulum-v0", "steps": 40}
HEATERS = {"env": "agentgym/Convection-v0", "steps": 24, "num_envs": 2}

CASES: dict[str, RunConfig] = {
    "sac": RunConfig("sac", env="Pendulum-v1", steps=250, config=OFF_POLICY),
    "sac, perturbed": RunConfig(
        "sac", env="Pendulum-v1", steps=150, config=OFF_POLICY, perturbations=[{"type": "ObservationNoise", "std": 0.1}]
    ),
    "sac, 3 worlds": RunConfig("sac", env="Pendulum-v1", steps=300, num_envs=3, config=OFF_POLICY),
    "mdpo": RunConfig("mdpo", env="Pendulum-v1", steps=150, config=OFF_POLICY),
    "mdpo-onpolicy": RunConfig("mdpo-onpolicy", env="CartPole-v1", steps=256, config=ON_POLICY),
    "ppo": RunConfig("ppo", env="CartPole-v1", steps=256, config=ON_POLICY),
    "ppo, robust": RunConfig("ppo", env="agentgym/RobustHopper-v0", steps=512, num_envs=4, config=ON_POLICY),
    "ppo, robust, drawn": RunConfig(
        "ppo", env="agentgym/RobustHopper-v0", env_kwargs={"randomize": "uniform"}, steps=512, num_envs=4,
        config=ON_POLICY,
    ),
    "trpo": RunConfig("trpo", env="Pendulum-v1", steps=256, config=ON_POLICY),
    "shared-ppo": RunConfig("shared-ppo", **HEATERS, config={"n_steps": 6, "batch_size": 30}),
    "shared-mdpo": RunConfig("shared-mdpo", **HEATERS, config={"n_steps": 6}),
    **{name: RunConfig(name, **ICE) for name in ("bc", "percent-bc")},
    **{name: RunConfig(name, **ICE, config=SEQUENCE) for name in ("dt", "doc")},
    **{name: RunConfig(name, **PENDULUM) for name in ("td3bc", "prdc", "iql", "odice")},
    **{
        name: RunConfig(name, dataset="bernoulli-bandit:size=200", steps=40) for name in ("rcbc", "doc-tabular")
    },
    **{
        name: RunConfig(name, **HOME, config=LANGUAGE)
        for name in ("grpo", "dr-grpo", "rloo", "gigpo", "spear", "epo")
    },
}  # fmt: skip
SUITES = {
    "sac": ["perturbations:levels=1", "attacks"],
    "mdpo-onpolicy": ["perturbations:levels=1"],
    "ppo, robust": ["parameter-grid:points=2", "perturbations:levels=1"],
    "bc": ["stochasticity"],
    "dt": ["stochasticity"],
    "grpo": ["text"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where the hashes go")
    parser.add_argument("--against", type=Path, help="hashes to compare with")
    parser.add_argument("--only", nargs="*", default=[], help="names of cases")
    parser.add_argument("--update-by", choices=["stack", "autograd"], help="for the agents that have this setting")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    hashes: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, config in CASES.items():
            if chosen.only and name not in chosen.only:
                continue
            config.threads = 1
            if chosen.update_by and hasattr(catalog.load(catalog.find("agent", config.agent)).Config, "update_by"):
                config.config = {**config.config, "update_by": chosen.update_by}
            hashes |= fingerprint(name, config, Path(folder))
    if chosen.out:
        chosen.out.write_text(json.dumps(hashes, indent=1))
    if chosen.against:
        before = json.loads(chosen.against.read_text())
        different = [name for name, value in hashes.items() if before.get(name) != value]
        print(f"{len(hashes) - len(different)} of {len(hashes)} are equal; different: {different or 'none'}")
        sys.exit(bool(different))


def fingerprint(name: str, config: RunConfig, folder: Path) -> dict[str, str]:
    """The hashes of one case, or its error in their place."""
    try:
        if config.dataset == PENDULUM["dataset"]:
            _record_pendulum()
        elif config.dataset:
            make_dataset(config.dataset, folder)
        run = train(config, name.replace(", ", "-").replace(" ", "-"), folder, progress=False)
        found = {name: _digest((run.final / "tensors.safetensors").read_bytes())}
        if suites := SUITES.get(name):
            kwargs = {**config.env_kwargs}
            rows = evaluate(run.path, suites, env_kwargs=kwargs, episodes=1, progress=False).rows
            text = "\n".join(
                f"{row.condition} {row.episode} {np.float64(row.episode_return).hex()} {row.length}" for row in rows
            )
            found[f"{name}: rows"] = _digest(text.encode())
    except Exception as error:
        found = {name: f"{type(error).__name__}: {error}"}
    print(json.dumps(found), flush=True)
    return found


def _record_pendulum(episodes: int = 10) -> None:
    """Random episodes as a Minari dataset, once: recipes train a behaviour first."""
    if PENDULUM["dataset"] in minari.list_local_datasets():
        return
    env = gymnasium.make("Pendulum-v1")
    env.action_space.seed(0)
    recorded = []
    for number in range(episodes):
        observations, actions, rewards, over = [env.reset(seed=number)[0]], [], [], False
        while not over:
            actions.append(env.action_space.sample())
            observation, reward, _, over, _ = env.step(actions[-1])
            observations.append(observation)
            rewards.append(reward)
        ends = np.zeros(len(rewards), bool)
        cuts = np.arange(1, len(rewards) + 1) == len(rewards)
        recorded.append(
            EpisodeBuffer(
                number, number, None, np.array(observations), np.array(actions), np.array(rewards), ends, cuts
            )
        )
    minari.create_dataset_from_buffers(PENDULUM["dataset"], buffer=recorded, env=env)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=12).hexdigest()


if __name__ == "__main__":
    main()
