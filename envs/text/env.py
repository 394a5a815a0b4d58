"""The single text environments: Household, Archive, TextWorld and ScienceWorld."""

from collections.abc import Mapping, Sequence
from typing import Any

from gymnasium.utils import EzPickle

from agentgym.envs.text.archive.world import ArchiveWorld
from agentgym.envs.text.household.names import TaskKind
from agentgym.envs.text.household.world import HouseholdWorld
from agentgym.envs.text.scienceworld_tasks.world import ScienceWorldWorld
from agentgym.envs.text.text_env import TextEnv
from agentgym.envs.text.textworld_games.world import TextWorldWorld

__all__ = ["ArchiveEnv", "HouseholdEnv", "ScienceWorldEnv", "TextWorldEnv"]


class HouseholdEnv(TextEnv, EzPickle):
    """
    ## Description

    Errands in a generated home, by text. The six kinds of tasks are ALFWorld's (Shridhar et al., arXiv 2010.03768):

    | Kind    | Task                                    | Solved when                                               |
    |---------|-----------------------------------------|-----------------------------------------------------------|
    | `place` | "put a mug in a cabinet"                | any mug lies in any cabinet                               |
    | `clean` | "put a clean mug in a cabinet"          | ... one that was cleaned with a sink                      |
    | `heat`  | "put a hot mug in a cabinet"            | ... heated with the microwave, and not cooled since       |
    | `cool`  | "put a cool mug in a cabinet"           | ... cooled with the fridge, and not heated since          |
    | `two`   | "put a mug and another mug in one chest"| two mugs lie in the same chest                            |
    | `light` | "look at a mug under the lit desklamp"  | the agent stands at the lit lamp and holds a mug          |

    The agent sees the receptacles in its room, and the items at the receptacle where it stands if that is open. It can
    hold one item. Item positions are drawn uniformly, so places give no hint.

    ## Action Space

    | Command                                | Possible                                                               |
    |----------------------------------------|------------------------------------------------------------------------|
    | `look`                                 | always: describes the place, what is there and what the agent holds    |
    | `go to ROOM`                           | the room is next to this one                                           |
    | `go to RECEPTACLE`                     | it is in this room, and the agent is not at it                         |
    | `open` / `close RECEPTACLE`            | the agent is at it, and it is closed / open                            |
    | `take ITEM from RECEPTACLE`            | the agent is at it, it is open, the item is in it, the hand is empty   |
    | `put ITEM in/on RECEPTACLE`            | the agent is at it, it is open, and the agent holds the item           |
    | `clean` / `heat` / `cool ITEM with R`  | the agent is at the sink / microwave / fridge R, holds the item, and   |
    |                                        | the item is of a kind that can be cleaned / heated / cooled            |
    | `use desklamp 1`                       | the agent is where it stands, and it is off                            |

    Upper case, extra spaces and a final period are ignored; "in", "on" and "in/on" are equivalent.
    ``info["admissible_commands"]`` lists all possible commands.

    The rest (spaces, info, rewards, ends, seeds, snapshots) is as in :class:`agentgym.envs.text.text_env.TextEnv`. The
    anchor is the complete state of the home, and :meth:`plan` a shortest plan from it.

    ## Arguments

    | Argument      | Default   | Description                                                                         |
    |---------------|-----------|-------------------------------------------------------------------------------------|
    | `size`        | "small"   | "tiny", "small", "medium", "large" (one room), "flat", "house", "manor"             |
    | `tasks`       | all six   | The kinds of tasks to draw from, equally likely                                     |
    | `split`       | "train"   | "train"; "seen": its pairs of item and target in other homes; "unseen": other pairs |
    | `admissible`  | `True`    | Whether info lists the admissible commands                                          |

    Further arguments override single parameters of the size: `rooms`, `receptacles`, `items`, `closed`, `max_turns` and
    `far_apart`, see :class:`agentgym.envs.text.presets.Household`.

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

    * v0: Initial version
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

    A question about a corpus of short articles on fictional people, companies, cities, rivers, countries and books, so
    that nothing can be known in advance: "What is the river of the birthplace of Ada Moss?". Articles use other words
    than questions ("was born in"), and some titles are similar.

    ## Action Space

    | Command                | Result                                                                              |
    |------------------------|-------------------------------------------------------------------------------------|
    | `search QUERY`         | numbers and titles of the best articles by BM25, at most ``results``                |
    | `open NUMBER`          | the article's text; only articles found by a search can be opened                   |
    | `calculate EXPRESSION` | the value of an expression of numbers with + - * / and brackets                     |
    | `answer TEXT`          | ends the episode: reward 1 if the answer is right, else 0                           |

    Upper case, extra spaces and a final period are ignored. ``info["admissible_commands"]`` lists commands suggested by
    the texts read so far; other queries, sums and answers are executed as well. A division by zero, or an article that
    no search has found, is "impossible".

    With ``failure_rate`` a search, opening or calculation sometimes fails: the observation reports it,
    ``info["problem"]`` is "failed", only the turn is lost, and the same command may be repeated.

    The rest (spaces, info, rewards, ends, seeds, snapshots) is as in :class:`agentgym.envs.text.text_env.TextEnv`. The
    anchor is what has been shown, read and calculated. :meth:`plan` reads every article of the chain, calculates if
    required, and answers; it does not predict failures. (Guessing the answer would be shorter.)

    ## Arguments

    | Argument     | Default | Description                                                                            |
    |--------------|---------|----------------------------------------------------------------------------------------|
    | `size`       | "small" | "small" (1 article to read of 20), "medium" (2 of 60), "large" (4 of 160)              |
    | `split`      | "train" | "train"; "seen": the same corpora, held-out questions; "unseen": other corpora         |
    | `admissible` | `True`  | Whether info lists suggested commands                                                  |

    Further arguments override single parameters of the size: `entities`, `distractors`, `hops`, `calculation`,
    `failure_rate`, `results` and `max_turns`, see :class:`agentgym.envs.text.presets.Archive`.

    ## Vectorized environment

    ``gym.make_vec("agentgym/Archive-v0", num_envs=8)`` makes a :class:`agentgym.envs.text.vector.ArchiveVectorEnv`.

    ## Version History

    * v0: Initial version
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

    Games of TextWorld (Côté et al., arXiv 1806.11532): its challenges and its own generator. TextWorld's environments
    return four values per step, of which the second is the score so far, and never truncate; here the reward is the
    score gained by the last command, and an episode is truncated after ``max_turns`` commands. Requires the extra
    ``text``.

    ## Action Space

    The commands of the game, one per turn. ``info["admissible_commands"]`` are TextWorld's; the game accepts some other
    wordings as well ("n" for "go north"). These are "unparsable": several commands in one ("A then B", "A. B", "take A
    and B", "take all from A"), which the game would execute in one turn; wordings that change the state without
    TextWorld noticing ("get A" from a container), after which its lists would be wrong; commands to the interpreter
    ("quit", "restart", "save", "script"); and characters other than letters, digits, spaces and ``,.'-``. A final
    period is ignored. ``info["problem"]`` is "impossible" for any other command that is not admissible and changed no
    fact; the observation is then the game's own.

    The rest (info, ends, seeds, snapshots) is as in :class:`agentgym.envs.text.text_env.TextEnv`. The anchor is the set
    of current facts. :meth:`plan` is TextWorld's own solution. A snapshot is the list of commands given, and restoring
    repeats them. Observations are printable ASCII, without the title and the prompt; there is no vocabulary.

    ## Arguments

    | Argument     | Default   | Description                                                                          |
    |--------------|-----------|--------------------------------------------------------------------------------------|
    | `game`       | "simple"  | "simple", "coin-collector", "treasure-hunter", "cooking" or "custom"                 |
    | `settings`   | presets'  | Settings of the game to override, see `TEXTWORLD` in `presets.py`                    |
    | `split`      | "train"   | Three sets of different games; in "cooking" also with different ingredients          |
    | `games`      | 10        | Number of games in a split; generating one takes a second or two                     |
    | `max_turns`  | 50        | Commands after which an episode is truncated                                         |
    | `folder`     | temporary | Folder for compiled games                                                            |
    | `admissible` | `True`    | Whether info lists the admissible commands                                           |

    ## Vectorized environment

    ``gym.make_vec("agentgym/TextWorld-v0", num_envs=8)`` makes a
    :class:`agentgym.envs.text.vector.TextWorldVectorEnv`.

    ## Version History

    * v0: Initial version, on TextWorld 1.7
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
    Requires the extra ``scienceworld`` and Java 9 or newer; each environment is a Java process.

    A seed determines an episode here, unlike in ScienceWorld itself: in version 1.2 the order and names of objects
    depend on Java's identity hashes. These are made constant in the process that this environment starts.

    ## Action Space

    ScienceWorld's actions. The question "which one do you mean?" is answered with a number. "reset task" is refused.

    The rest (info, ends, seeds, snapshots) is as in :class:`agentgym.envs.text.text_env.TextEnv`, with these
    exceptions. The anchor is the agent's view, its inventory and the score, so states that differ elsewhere share it. A
    reward is a hundredth of the points gained by a command, -1 to 1 over an episode; a wrong ``focus`` ends the episode
    with a total of -1. :meth:`plan` is ScienceWorld's own solution if ``gold=True`` and no other command has been
    given, otherwise empty. A snapshot is the list of commands given. There is no vocabulary.

    ## Arguments

    | Argument          | Default | Description                                                                       |
    |-------------------|---------|-----------------------------------------------------------------------------------|
    | `tasks`           | all     | ScienceWorld's task names to draw from, e.g. ["boil", "find-plant"]               |
    | `simplifications` | "easy"  | ScienceWorld's, separated by commas; "" for none                                  |
    | `split`           | "train" | Its train, development ("seen") or test ("unseen") variations                     |
    | `max_turns`       | 100     | Commands after which an episode is truncated                                      |
    | `gold`            | `False` | Whether to compute its solution at each reset, which takes up to half a minute    |
    | `admissible`      | `True`  | Whether info lists the valid commands: hundreds, which takes most of a step       |

    ## Version History

    * v0: Initial version, on ScienceWorld 1.2.3
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
