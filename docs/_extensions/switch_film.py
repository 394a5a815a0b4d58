"""Film a swarm that goes through all regimes of a nozzle because its back pressure is switched, and nothing else.

python docs/_extensions/switch_film.py
"""

import numpy as np
from films import fitted, save
from gallery import FILMS

from agentgym.envs.swarm.presets import REGIMES
from agentgym.envs.swarm.vector import SwarmVectorEnv

AGENTS, SECONDS, FRAMES = 500, 30.0, 9  # seconds and frames of each regime
REGIMES_SHOWN = ("sub", "shock", "choked", "shock", "sub")


def main() -> None:
    """Write Swarm-v0-switch into the films of the gallery."""
    env = SwarmVectorEnv(
        1, agents=AGENTS, seconds=SECONDS * len(REGIMES_SHOWN), regime=REGIMES_SHOWN[0], render_mode="rgb_array"
    )
    env.reset(seed=1)
    still = np.zeros(env.action_space.shape or ())  # the SPH controller alone
    each = env.world.steps // len(REGIMES_SHOWN)
    frames, total, steps = [], 0.0, 0
    for regime in REGIMES_SHOWN:
        env.set_back_pressure(REGIMES[regime])
        for step in range(each):
            if step % (each // FRAMES) == 0:
                (frame,) = env.render() or ()
                frames.append(fitted(frame))
            total += float(env.step(still)[1][0])
            steps += 1
    words = "sph, while the back pressure switches from subsonic to a shock, to supersonic and back"
    save(frames, "Swarm-v0-switch", words, total, steps, FILMS)


if __name__ == "__main__":
    main()
