"""A scripted engineer that uses only what it has observed."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentgym.envs.code.repair.world import RepairWorld

__all__ = ["Explorer"]

ALL = -1


class Explorer:
    """Runs a failing test, finds the function that the failure names, and tries what can be changed there.

    Then it tries the other functions that ran, and then everything else. An edit that makes the shown tests pass is
    submitted after all tests have passed.

    Args:
        world: the world, in which an episode has just begun.
        hints: whether it uses the functions that failures name; without, it opens file by file.
    """

    def __init__(self, world: "RepairWorld", hints: bool = True) -> None:
        self._world, self._hints = world, hints

    def command(self) -> str:
        """The next command."""
        world, offered = self._world, set(self._world.commands())
        return next(command for command in self._wishes(world) if command in offered)

    def _wishes(self, world: "RepairWorld") -> Iterator[str]:
        """Commands in order of preference; the first that is on offer is given."""
        failing = world.of.rows[world.placed]
        run = world.results.get(world.placed, [])
        tests = [f"run {world.test_names[n]}" for n in world.shown]
        if world.stack:
            # What has been run in this state is known; one failure is enough, except with a second edit to come.
            failed = any((n == ALL and failing) or n in failing for n in run)
            if not failed:
                yield from tests if ALL not in run else ()
                yield "run all"
                yield "submit"
            if len(world.stack) < world.tier.faults and self._helped(run):
                yield from self._repairs(world)
            yield "undo"
        if not run:
            yield tests[0]
        yield from self._repairs(world)
        yield "submit"

    def _helped(self, run: list[int]) -> bool:
        """Whether some test that failed at the start passes with the edits in place."""
        world = self._world
        return any(n != ALL and n not in world.of.rows[world.placed] for n in run)

    def _repairs(self, world: "RepairWorld") -> Iterator[str]:
        mine = {n: world.of.candidates[n] for n in world.offered}
        if self._hints:
            for function in world.mentioned:
                yield f"search {world.function_names[function]}"
                if function in world.found:
                    yield f"open {world.file_names[world.of.home[function]]}"
                yield from (world.edit_commands[n] for n, edit in mine.items() if edit.function == function)
                # The other failing tests name further functions.
            if not world.stack:
                yield from (f"run {world.test_names[n]}" for n in world.shown)
        # File by file: what is open is tried before the next is opened.
        yield from (world.edit_commands[n] for n in mine)
        yield from (f"open {name}" for name in world.file_names)
