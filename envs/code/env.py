"""The single environments of code repair."""

from collections.abc import Sequence
from typing import Any

from gymnasium.utils import EzPickle

from agentgym.envs.code.repair.world import RepairWorld
from agentgym.envs.code.shell.commands import CommandWorld
from agentgym.envs.code.shell.world import ShellWorld
from agentgym.envs.code.swe.world import TaskWorld
from agentgym.envs.text.text_env import Info, TextEnv

__all__ = ["CodeRepairEnv", "CodeRepairTableEnv", "CodeTasksEnv"]


class _GradedEnv(TextEnv):
    """What environments with verdicts tell."""

    world: CommandWorld

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


class CodeRepairEnv(_GradedEnv, EzPickle):
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

    Further arguments override single parameters of the size: `faults`, `hidden`, `cost` and `max_turns`; and
    `misleading`, 0 to 1: only faults of which at least this share of the failures shows in another function.

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


class CodeTasksEnv(_GradedEnv, EzPickle):
    """
    ## Description

    Tasks from a file in the format of SWE-bench (arXiv 2310.06770) or SWE-smith (arXiv 2504.21798), with their
    repositories as folders on this machine. The agent gets the task's `problem_statement` and a copy of the repository
    in a sandbox without a network, gives shell commands, and is graded by the task's tests.

    Neither data nor repositories come with this package, and nothing is downloaded. Docker images are not supported: a
    repository's requirements have to be in an environment of this machine, named by `python`.

    ```python
    env = gym.make(
        "agentgym/CodeTasks-v0",
        tasks="tasks.jsonl",             # rows of instance_id, problem_statement, FAIL_TO_PASS, ...
        folders="checkouts",             # checkouts/INSTANCE_ID is its repository at base_commit
        python="environments/psf/bin/python",
    )
    ```

    **The file** is a JSON list, JSON lines, or Parquet (extra: `parquet`). Each row needs `instance_id`,
    `problem_statement`, `patch`, `FAIL_TO_PASS` and `PASS_TO_PASS` (lists, or lists written as JSON), in SWE-bench's
    format also `test_patch`. There `patch` is the solution, and `test_patch` the tests that came with it, which the
    agent does not see. In SWE-smith's format `patch` makes the fault, and the solution is its reverse; the folder
    may have the fault already, as `base_commit` has, or not yet.

    **The folder** is copied without `.git`, caches and backups, so that no history tells the solution. Links are left
    out, and files count as not executable. An installed package that the solution changes is refused.

    **Tests** are named as by pytest (`tests/test_a.py::test_b`) or by unittest (`tests.test_a.TestA.test_b`, or
    `test_b (tests.test_a.TestA)`). Other runners, such as those of Django and SymPy, are not supported. `python` is
    an interpreter whose packages the sandbox gets read-only; without it, tests of unittest run with the interpreter
    of this process and no packages.

    ## Action Space

    A bash command, as in :class:`CodeRepairEnv`; spaces, ends and snapshots are as there, too. :meth:`plan` is one
    command a file of the solution, and ``submit``. The episodes of a seed go through all tasks, in an order of its own.

    ## Grading

    At ``submit`` the agent's files are copied into a fresh sandbox, the task's tests are laid over them, and
    FAIL_TO_PASS and PASS_TO_PASS run. ``info["verdict"]`` is True if all pass (of PASS_TO_PASS some may be skipped, as
    in SWE-bench), False if not, and ``info["reason"]`` says why. Work is refused (False) that changes tests,
    conftest.py, sitecustomize.py, `.pth` and settings of runners, hides modules that tests need, or newly uses what
    reaches into a running process; what the solution changes may be changed. The grader's own tests of each run show
    whether results are forged. The verdict is **None**, not False, if the grader does not work: see
    :class:`CodeRepairEnv`.

    ## Rewards

    At ``submit`` 1 - `cost` x turns (at least 0) if the verdict is True, else 0.

    ## Arguments

    | Argument     | Default | Description                                                                             |
    |--------------|---------|-----------------------------------------------------------------------------------------|
    | `tasks`      |         | File of tasks                                                                           |
    | `folders`    |         | Folder of the repositories, each named by its `instance_id`                             |
    | `instances`  | `None`  | Ids of the tasks to play; by default all                                                |
    | `form`       | "auto"  | "swe-bench", "swe-smith", or by each row: the first if it has a `test_patch`            |
    | `python`     | `None`  | Path of the interpreter for commands and tests                                          |
    | `level`      | "auto"  | Level of the sandbox, see the card                                                      |
    | `check`      | `False` | Check each task before it is first played: its solution passes, FAIL_TO_PASS fail and   |
    |              |         | PASS_TO_PASS pass at the start. Runs its tests twice                                    |
    | `max_turns`  | 100     | Commands after which an episode is truncated                                            |
    | `cost`       | 0.0     | What a turn costs of the reward of 1                                                    |
    | `seconds`    | 300.0   | Time for all tests of a task; a command of the agent has 60 s                           |
    | `memory`     | 1024    | MiB, besides the files                                                                  |
    | `admissible` | `True`  | Whether info lists some commands                                                        |

    Raises:
        InvalidParameter: a file, folder or field is missing, a patch does not apply, a check fails; the message names
            task and field. Patches are applied when a task is first played.

    ## Version History

    * v0: Initial version
    """

    world: TaskWorld

    def __init__(
        self,
        tasks: str = "",
        folders: str = "",
        instances: Sequence[str] | str | None = None,
        form: str = "auto",
        python: str | None = None,
        level: str = "auto",
        check: bool = False,
        admissible: bool = True,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        EzPickle.__init__(
            self, tasks, folders, instances, form, python, level, check, admissible, render_mode, **settings
        )
        world = TaskWorld(tasks, folders, instances, form, python, level, check, **settings)
        super().__init__(world, admissible, render_mode)

    @property
    def task_names(self) -> list[str]:
        """The ids of the tasks, for the argument ``instances``."""
        return [instance.id for instance in self.world.instances]


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

    Further arguments override single parameters of the tier (`candidates`, `hopeless`, `cost`, `faults`, `max_turns`,
    `misleading`), see :class:`agentgym.envs.code.repair.tiers.Tier`.

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
