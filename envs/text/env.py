"""The single-environment doors: a household, an archive, TextWorld's games and ScienceWorld."""

from collections.abc import Mapping, Sequence
from typing import Any

from gymnasium.utils import EzPickle

from agentgym.envs.text.archive.world import ArchiveWorld
from agentgym.envs.text.door import TextEnv
from agentgym.envs.text.household.names import TaskKind
from agentgym.envs.text.household.world import HouseholdWorld
from agentgym.envs.text.scienceworld_tasks.world import ScienceWorldWorld
from agentgym.envs.text.textworld_games.world import TextWorldWorld

__all__ = ["ArchiveEnv", "HouseholdEnv", "ScienceWorldEnv", "TextWorldEnv"]


class HouseholdEnv(TextEnv, EzPickle):
    """
    ## Description

    Errands in a generated home, by text. The six kinds of tasks are ALFWorld's (Shridhar et al., arXiv 2010.03768):

    | Kind    | Task                                    | Done when                                                 |
    |---------|-----------------------------------------|-----------------------------------------------------------|
    | `place` | "put a mug in a cabinet"                | any mug lies in any cabinet                               |
    | `clean` | "put a clean mug in a cabinet"          | ... one that was cleaned with a sink                      |
    | `heat`  | "put a hot mug in a cabinet"            | ... heated with the microwave, and not cooled since       |
    | `cool`  | "put a cool mug in a cabinet"           | ... cooled with the fridge, and not heated since          |
    | `two`   | "put a mug and another mug in one chest"| two mugs lie in the same chest                            |
    | `light` | "look at a mug under the lit desklamp"  | one stands at the lit lamp with a mug in the hand         |

    One sees the receptacles of the room one is in and the things at the receptacle one stands at if it is open, and
    holds one thing at a time. Where things are is drawn uniformly: places give no hint.

    ## Action Space

    | Command                                | Possible                                                               |
    |----------------------------------------|------------------------------------------------------------------------|
    | `look`                                 | always: says where one is, what is there and what one holds            |
    | `go to ROOM`                           | the room is next to this one                                           |
    | `go to RECEPTACLE`                     | it stands in this room, and one is not at it                           |
    | `open` / `close RECEPTACLE`            | one is at it, and it is closed / open                                  |
    | `take ITEM from RECEPTACLE`            | one is at it, it is open, the item is in it, the hand is empty         |
    | `put ITEM in/on RECEPTACLE`            | one is at it, it is open, one holds the item ("in", "on" or "in/on")   |
    | `clean` / `heat` / `cool ITEM with R`  | one is at the sink / microwave / fridge R, holds the item, and the     |
    |                                        | item is of a kind that can be cleaned / heated / cooled                |
    | `use desklamp 1`                       | one is where it stands, and it is off                                  |

    Upper case, further spaces and a final period do not matter. ``info["admissible_commands"]`` lists every possible
    command.

    The rest (spaces, info, rewards, ends, seeds, snapshots) is as in :class:`agentgym.envs.text.door.TextEnv`. The
    anchor is the whole state of the home, and :meth:`plan` a shortest plan from it.

    ## Arguments

    | Argument      | Default   | Description                                                                         |
    |---------------|-----------|-------------------------------------------------------------------------------------|
    | `size`        | "small"   | "tiny", "small", "medium", "large" (one room), "flat", "house", "manor"             |
    | `tasks`       | all six   | The kinds of tasks to draw from, equally likely                                     |
    | `split`       | "train"   | "train"; "seen": its pairs of item and target in other homes; "unseen": other pairs |
    | `admissible`  | `True`    | Whether info lists the admissible commands                                          |

    and, to change single dials of the size, `rooms`, `receptacles`, `items`, `closed`, `max_turns` and `far_apart`: see
    :class:`agentgym.envs.text.presets.Household`.

    ```python
    >>> import gymnasium as gym, agentgym
    >>> env = gym.make("agentgym/Household-v0", size="tiny", tasks=["place"])
    >>> observation, info = env.reset(seed=0)
    >>> for command in env.unwrapped.plan():
    ...     observation, reward, terminated, truncated, info = env.step(command)
    >>> reward, terminated, info["turn"]
    (1.0, True, 4)

    ```

    ## Vectorized environment

    ``gym.make_vec("agentgym/Household-v0", num_envs=8)`` makes a
    :class:`agentgym.envs.text.vector.HouseholdVectorEnv`, whose world i equals the single environment with its seed.

    ## Version History

    * v0: the first.
    """

    world: HouseholdWorld

    def __init__(
        self,
        size: str = "small",
        tasks: Sequence[TaskKind] | None = None,
        split: str = "train",
        admissible: bool = True,
        render_mode: str | None = None,
        **dials: Any,
    ) -> None:
        EzPickle.__init__(self, size, tasks, split, admissible, render_mode, **dials)
        super().__init__(HouseholdWorld(size, tasks, split, **dials), admissible, render_mode)


class ArchiveEnv(TextEnv, EzPickle):
    """
    ## Description

    A question over a corpus of short articles about people, companies, cities, rivers, countries and books that were
    all made up, so that nothing can be known by heart: "What is the river of the birthplace of Ada Moss?". Articles say
    things in other words than questions ("was born in"), and some titles are much alike.

    ## Action Space

    | Command                | Brings                                                                              |
    |------------------------|-------------------------------------------------------------------------------------|
    | `search QUERY`         | numbers and titles of the articles that fit best by BM25, at most ``results``       |
    | `open NUMBER`          | the article's text; only articles that a search has shown can be opened             |
    | `calculate EXPRESSION` | the value of a sum of numbers with + - * / and brackets                             |
    | `answer TEXT`          | the end: reward 1 if it is the answer, else 0                                       |

    Upper case, further spaces and a final period do not matter. ``info["admissible_commands"]`` lists what the texts
    read so far suggest; other queries, sums and answers are carried out as well. A division by zero, or an article not
    shown, is "impossible".

    With ``failure_rate`` a search, opening or calculation sometimes fails: the observation says so, ``info["problem"]``
    is "failed", nothing changes but the turn, and the same command may be tried again.

    The rest (spaces, info, rewards, ends, seeds, snapshots) is as in :class:`agentgym.envs.text.door.TextEnv`. The
    anchor is what was shown, read and calculated. :meth:`plan` reads every article of the chain, calculates where that
    is asked for, and answers; it does not foresee failures. (To guess the answer would be shorter.)

    ## Arguments

    | Argument     | Default | Description                                                                            |
    |--------------|---------|----------------------------------------------------------------------------------------|
    | `size`       | "small" | "small" (1 article to read of 20), "medium" (2 of 60), "large" (4 of 160)              |
    | `split`      | "train" | "train"; "seen": the same corpora, held-out questions; "unseen": other corpora         |
    | `admissible` | `True`  | Whether info lists suggested commands                                                  |

    and, to change single dials of the size, `entities`, `distractors`, `hops`, `calculation`, `failure_rate`, `results`
    and `max_turns`: see :class:`agentgym.envs.text.presets.Archive`.

    ## Vectorized environment

    ``gym.make_vec("agentgym/Archive-v0", num_envs=8)`` makes a :class:`agentgym.envs.text.vector.ArchiveVectorEnv`.

    ## Version History

    * v0: the first.
    """

    world: ArchiveWorld

    def __init__(
        self,
        size: str = "small",
        split: str = "train",
        admissible: bool = True,
        render_mode: str | None = None,
        **dials: Any,
    ) -> None:
        EzPickle.__init__(self, size, split, admissible, render_mode, **dials)
        super().__init__(ArchiveWorld(size, split, **dials), admissible, render_mode)


class TextWorldEnv(TextEnv, EzPickle):
    """
    ## Description

    Games of TextWorld (Côté et al., arXiv 1806.11532): its challenges and its own generator. Upstream's environments
    answer a step with four values, of which the second is the score so far, and never truncate; here a reward is what
    the last command added to the score, and an episode is truncated after ``max_turns`` commands. Needs the extra
    ``text``.

    ## Action Space

    The commands of the game, one a turn. ``info["admissible_commands"]`` are TextWorld's; the game takes some other
    wordings as well ("n" for "go north"). "unparsable" are: several commands in one ("A then B", "A. B", "take A and
    B", "take all from A"), which the game would carry out in one turn; wordings that change things without TextWorld
    noticing ("get A" from a container), after which its lists would be wrong; what is not to the game but to its
    interpreter ("quit", "restart", "save", "script"); and other characters than letters, digits, spaces and ``,.'-``. A
    final period does not matter. ``info["problem"]`` is "impossible" for any other command that is not among the
    admissible ones and changed no fact; the observation is then the game's own.

    The rest (info, ends, seeds, snapshots) is as in :class:`agentgym.envs.text.door.TextEnv`. The anchor is the set of
    facts that hold. :meth:`plan` is TextWorld's own way to win. A snapshot is the commands given, and restoring gives
    them again. Observations are printable ASCII, without the title and the prompt; there is no vocabulary.

    ## Arguments

    | Argument     | Default   | Description                                                                          |
    |--------------|-----------|--------------------------------------------------------------------------------------|
    | `game`       | "simple"  | "simple", "coin-collector", "treasure-hunter", "cooking" or "custom"                 |
    | `settings`   | presets'  | What to change of the game's settings, see `TEXTWORLD` in `presets.py`               |
    | `split`      | "train"   | Three sets of different games; in "cooking" also with different ingredients          |
    | `games`      | 10        | How many games a split has. Each takes a second or two when it is first played       |
    | `max_turns`  | 50        | Commands after which an episode is truncated                                         |
    | `folder`     | temporary | Where compiled games are kept                                                        |
    | `admissible` | `True`    | Whether info lists the admissible commands                                           |

    ## Vectorized environment

    ``gym.make_vec("agentgym/TextWorld-v0", num_envs=8)`` makes a
    :class:`agentgym.envs.text.vector.TextWorldVectorEnv`.

    ## Version History

    * v0: on TextWorld 1.7.
    """

    world: TextWorldWorld

    def __init__(
        self,
        game: str = "simple",
        settings: Mapping[str, Any] | None = None,
        split: str = "train",
        games: int = 10,
        max_turns: int = 50,
        folder: str | None = None,
        admissible: bool = True,
        render_mode: str | None = None,
    ) -> None:
        EzPickle.__init__(self, game, settings, split, games, max_turns, folder, admissible, render_mode)
        super().__init__(TextWorldWorld(game, settings, split, games, max_turns, folder), admissible, render_mode)


class ScienceWorldEnv(TextEnv, EzPickle):
    """
    ## Description

    ScienceWorld's thirty kinds of experiments (Wang et al., arXiv 2203.07540): boil, melt, grow, measure, mix, connect.
    Needs the extra ``scienceworld`` and Java 9 or newer; each environment is a Java process.

    A seed fixes an episode here, which it does not upstream: in version 1.2 the order and names of things hang on
    Java's identity hashes. They are made constant for the process that this environment starts.

    ## Action Space

    ScienceWorld's actions. Asked "which one do you mean?", the answer is a number. "reset task" is refused.

    The rest (info, ends, seeds, snapshots) is as in :class:`agentgym.envs.text.door.TextEnv`, but: the anchor is what
    one sees and carries, and the score, so that states which differ elsewhere share it. A reward is a hundredth of the
    points that a command brought, -1 to 1 over an episode; a wrong ``focus`` ends the episode with -1 in all.
    :meth:`plan` is ScienceWorld's own way with ``gold=True`` and as long as nothing else was done, otherwise empty. A
    snapshot is the commands given. There is no vocabulary.

    ## Arguments

    | Argument          | Default | Description                                                                       |
    |-------------------|---------|-----------------------------------------------------------------------------------|
    | `tasks`           | all     | ScienceWorld's task names to draw from, e.g. ["boil", "find-plant"]               |
    | `simplifications` | "easy"  | ScienceWorld's, joined by commas; "" for none                                     |
    | `split`           | "train" | Its train, development ("seen") or test ("unseen") variations                     |
    | `max_turns`       | 100     | Commands after which an episode is truncated                                      |
    | `gold`            | `False` | Whether its way to the goal is worked out at each reset: up to half a minute      |
    | `admissible`      | `True`  | Whether info lists the valid commands: hundreds, which takes most of a step       |

    ## Version History

    * v0: on ScienceWorld 1.2.3.
    """

    world: ScienceWorldWorld

    def __init__(
        self,
        tasks: Sequence[str] | None = None,
        simplifications: str = "easy",
        split: str = "train",
        max_turns: int = 100,
        gold: bool = False,
        admissible: bool = True,
        render_mode: str | None = None,
    ) -> None:
        EzPickle.__init__(self, tasks, simplifications, split, max_turns, gold, admissible, render_mode)
        super().__init__(ScienceWorldWorld(tasks, simplifications, split, max_turns, gold), admissible, render_mode)
