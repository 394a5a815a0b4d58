"""The single environments of code repair."""

from typing import Any

from gymnasium.utils import EzPickle

from agentgym.envs.code.repair.world import RepairWorld
from agentgym.envs.code.shell.world import ShellWorld
from agentgym.envs.text.text_env import Info, TextEnv

__all__ = ["CodeRepairEnv", "CodeRepairTableEnv"]


class CodeRepairEnv(TextEnv, EzPickle):
    """
    ## Description

    A small program with faults, to be repaired by shell commands in a sandbox. The programs are this package's twenty
    bundled repositories: five to thirty files, standard library only, with tests. Faults are edits by 18 operators
    (:mod:`agentgym.envs.code.faults.edits`) that some tests notice and others do not.

    The agent has its own copy, in which some of the failing tests may be missing, and no network. The original code is
    nowhere within reach: the interpreter comes without installed packages, and there is no history.

    ## Action Space

    A bash command. Each runs in a fresh shell; the files, the current folder and exported variables last. The command
    ``submit`` ends the episode. ``info["admissible_commands"]`` lists a few of the many possible commands.

    The rest (spaces, ends, seeds, snapshots) is as in :class:`agentgym.envs.text.text_env.TextEnv`. The anchor is a
    digest of the files. A snapshot holds the text files that have changed, not the folder and variables of the shell.
    :meth:`plan` is one command a fault, and ``submit``.

    ## Grading

    At ``submit`` the package's own files are copied into a fresh sandbox with the original tests, hidden ones included.
    ``info["verdict"]`` is True if all pass, False if not, and ``info["reason"]`` says why. Work is refused (False) that
    changes tests, adds files by which tests could be steered (conftest.py, sitecustomize.py, modules beside the
    package), or imports or uses what could reach the grader. The verdict is **None** if the grader itself did not work:
    the reward is then 0 because Gymnasium knows no other, ``info["problem"]`` is "failed", and ``info["measures"]``
    has ``no_verdict`` instead of ``success``. Such an episode belongs in no mean.

    ## Rewards

    At ``submit`` 1 - 0.01 x turns (at least 0) if the verdict is True, else 0.

    ## Arguments

    | Argument     | Default | Description                                                                             |
    |--------------|---------|-----------------------------------------------------------------------------------------|
    | `size`       | "small" | "small": one fault, all tests shown; "medium": two faults, a third of the failing tests |
    |              |         | hidden; "large": four faults, half of them hidden                                       |
    | `split`      | "train" | "train"; "seen": other faults of the same programs; "unseen": other programs            |
    | `operators`  | "known" | "known"; "new": faults of kinds that are absent from training                           |
    | `level`      | "auto"  | Level of the sandbox, see the card                                                      |
    | `admissible` | `True`  | Whether info lists some commands                                                        |

    Further arguments override single parameters of the size: `faults`, `hidden`, `cost` and `max_turns`.

    ## Version History

    * v0: Initial version
    """

    world: ShellWorld

    def __init__(
        self,
        size: str = "small",
        split: str = "train",
        operators: str = "known",
        level: str = "auto",
        admissible: bool = True,
        render_mode: str | None = None,
        **dials: Any,
    ) -> None:
        EzPickle.__init__(self, size, split, operators, level, admissible, render_mode, **dials)
        super().__init__(ShellWorld(size, split, operators, level, **dials), admissible, render_mode)

    def _info(self, problem: str | None) -> Info:
        verdict = self.world.verdict
        told = {"verdict": verdict.resolved, "reason": verdict.reason} if verdict else {"verdict": None, "reason": ""}
        return {**super()._info(problem), **told, "level": self.world.level}

    def _measures(self, lost: bool) -> dict[str, float]:
        measures = super()._measures(lost)
        if self.world.verdict is not None and self.world.verdict.resolved is None:
            del measures["success"]
            measures["no_verdict"] = 1.0
        return measures


class CodeRepairTableEnv(TextEnv, EzPickle):
    """
    ## Description

    A program of some 12 functions in three files has one fault, or two, and tests that fail. The agent reads, runs
    tests, tries edits and submits. Programs, faults and test results are real: the bundled repositories were broken in
    some hundred ways each, and the results of all tests under all edits on offer were recorded. So a step looks them up
    and starts no Python.

    The text has about 330 words. Names of files, functions, tests and lines are drawn anew in each episode, and local
    names are `va`, `vb`, ..., so there is nothing to learn by heart and an unseen program has no unknown word.

    ## Action Space

    | Command            | Result                                                                                      |
    |--------------------|---------------------------------------------------------------------------------------------|
    | `run TEST`         | "tf passes .", or the kind of failure, the function where it showed, and others that ran    |
    | `run all`          | the number of failing tests                                                                 |
    | `search FUNCTION`  | the file of a function that a failure has named                                             |
    | `open FILE`        | its lines with edits on offer; the name of a line follows its words                         |
    | `edit LINE OLD NEW`| makes an edit of an opened file; one at a time, in `hard` two                               |
    | `undo`             | takes the last edit back                                                                    |
    | `submit`           | ends the episode                                                                            |

    ``info["admissible_commands"]`` lists the commands on offer, and others are not executed. What is known already is
    not offered again: a test that was run with the same edits in place, an edit with which a test failed.

    The rest (spaces, info, ends, seeds, snapshots) is as in :class:`agentgym.envs.text.text_env.TextEnv`.

    ## Rewards

    At `submit` 1 - 0.01 x turns if all tests pass, also those that were not shown, else 0.

    ## Arguments

    | Argument     | Default | Description                                                                             |
    |--------------|---------|------------------------------------------------------------------------------------------|
    | `tier`       | "easy"  | "easy": one fault, 10 edits, 20 turns; "medium": 20 edits, 40 turns, in a quarter of the|
    |              |         | episodes none is right; "hard": two faults, 10 edits, 40 turns                          |
    | `split`      | "train" | "train"; "seen": other faults of the same programs; "unseen": other programs            |
    | `operators`  | "known" | "known"; "new": faults of kinds that are absent from training, also as edits on offer   |
    | `admissible` | `True`  | Whether info lists the admissible commands                                              |

    Further arguments override single parameters of the tier (`candidates`, `hopeless`, `cost`, `faults`, `max_turns`),
    see :class:`agentgym.envs.code.repair.tiers.Tier`.

    ```python
    >>> import gymnasium as gym, agentgym
    >>> env = gym.make("agentgym/CodeRepairEasy-v0")
    >>> observation, info = env.reset(seed=0)
    >>> for command in env.unwrapped.plan():  # open a file, make the edit, submit
    ...     observation, reward, terminated, truncated, info = env.step(command)
    >>> reward, terminated, info["turn"]
    (0.97, True, 3)

    ```

    ## Vectorized environment

    ``gym.make_vec("agentgym/CodeRepairEasy-v0", num_envs=8)`` makes a
    :class:`agentgym.envs.code.vector.CodeRepairTableVectorEnv`.

    ## Version History

    * v0: Initial version
    """

    world: RepairWorld

    def __init__(
        self,
        tier: str = "easy",
        split: str = "train",
        operators: str = "known",
        admissible: bool = True,
        render_mode: str | None = None,
        **dials: Any,
    ) -> None:
        EzPickle.__init__(self, tier, split, operators, admissible, render_mode, **dials)
        super().__init__(RepairWorld(tier, split, operators, **dials), admissible, render_mode)
