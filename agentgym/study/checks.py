"""Everything that can be wrong with a study, checked before the first run."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from agentgym import catalog
from agentgym.contracts.agent import traits_of
from agentgym.contracts.check_env import check_interface
from agentgym.contracts.environment import controllers_of
from agentgym.contracts.settings import from_settings
from agentgym.data.recipe import find_recipe, is_recipe
from agentgym.errors import AskError, InvalidParameter, UnknownId
from agentgym.evaluation.evaluate import load_suite
from agentgym.make import make_env, perturbed
from agentgym.play.worlds import close
from agentgym.runs.run import Run
from agentgym.study.cells import Cell
from agentgym.study.judging import function_of
from agentgym.study.places import at
from agentgym.study.schema import Study

__all__ = ["check_cells", "check_study"]


def check_study(study: Study, cells: Sequence[Cell]) -> None:
    """Check names, settings, environments, suites and functions of a study.

    Raises:
        AskError: something is wrong; its ``path`` leads to it.
    """
    for key, spec in study.agents.items():
        if not (spec.controller or spec.made_by):
            _check_agent(study, key)
    controllers: dict[str, Sequence[str]] = {}
    for key in study.envs:
        if own := [cell for cell in cells if cell.env == key]:
            with at("envs", study.written.get(key, key)):
                controllers[key] = _check_world(own[0])
    for place, protocol in _protocols(study):
        with at(*place, "suites"):
            for suite in protocol.suites:
                load_suite(suite)
        with at(*place, "judge"):
            if protocol.judge:
                function_of(protocol.judge, study.folder)
    for key, spec in study.agents.items():
        with at("agents", key, "made_by"):
            if spec.made_by:
                function_of(spec.made_by, study.folder)
    with at("pictures"):
        if study.pictures:
            function_of(study.pictures, study.folder)
    for cell in cells:
        with at("agents", study.written.get(cell.agent, cell.agent)):
            with at("controller"):
                if cell.spec.controller and cell.spec.controller not in controllers[cell.env]:
                    raise UnknownId(f"controller of {cell.env}", cell.spec.controller, controllers[cell.env])
            _check_cell(cell)


def _protocols(study: Study) -> list[tuple[tuple[str, ...], Any]]:
    own = [(("questions", key, "protocol"), study.protocol_of(key)) for key in study.questions]
    return [(("protocol",), study.protocol), *(each for each in own if each[1] != study.protocol)]


def _check_agent(study: Study, key: str) -> None:
    spec, key = study.agents[key], study.written.get(key, key)
    with at("agents", key, *(("agent",) if spec.agent != key else ())):
        agent_class = catalog.load(catalog.find("agent", spec.agent))
    with at("agents", key, "preset"):
        agent_class.Config.with_preset(spec.preset, {})
    for name, value in spec.config.items():
        with at("agents", key, "config", name):
            from_settings(agent_class.Config, {name: value}, f"agent {spec.agent}")


def _check_world(cell: Cell) -> Sequence[str]:
    """Check that the environment and its perturbations can be made; the names of its controllers."""
    world = cell.world
    if world.dataset:
        with at("dataset"):
            if is_recipe(world.dataset):
                find_recipe(world.dataset)
        return ()
    check_interface(world.env, cell.env_kwargs)
    env = make_env(world.env, cell.env_kwargs)
    try:
        with at("perturbations"):
            env = perturbed(env, list(world.perturbations))
        return list(controllers_of(env))
    finally:
        close(env)


def _check_cell(cell: Cell) -> None:
    """The settings of one cell, and that there is no run of other settings in its folder.

    Raises:
        AskError: a setting is unknown or not allowed, or the folder holds another run.
    """
    if not cell.is_run:
        return
    settings = _settings(cell)
    traits = traits_of(_agent_class(cell.spec.agent))
    if (traits.learns_from == "dataset") != bool(cell.world.dataset):
        needed = "a dataset" if traits.learns_from == "dataset" else "an environment, not a dataset"
        raise InvalidParameter(f"{cell.agent} learns from {needed}; {cell.env} does not fit.")
    if cell.start is not None and "start" not in settings:
        raise InvalidParameter(
            f"{cell.spec.agent} cannot begin with the weights of {cell.spec.start}: it has no start."
        )
    if (cell.folder / "config.json").is_file():
        _check_run(cell, settings, traits.sets_worlds)


def _check_run(cell: Cell, settings: dict[str, Any], sets_worlds: bool) -> None:
    run, wanted = Run.open(cell.folder), cell.run_config().check()
    if wanted.num_envs == 1 and sets_worlds:  # as the run has them
        wanted.num_envs = settings["worlds"]
    pairs = {
        name: (getattr(run.config, name), getattr(wanted, name)) for name in ("agent", "steps", "seed", "num_envs")
    }
    if not cell.world.dataset:
        for name in ("env", "env_kwargs", "perturbations"):
            pairs[name] = getattr(run.config, name), getattr(wanted, name)
    config = run.config.config
    pairs |= {name: (config.get(name), _plain(value)) for name, value in settings.items() if name in config}
    changed = [f"{name} was {old!r}, is {new!r}" for name, (old, new) in pairs.items() if _plain(old) != _plain(new)]
    if changed:
        raise AskError(
            f"{cell.folder} holds a run with other settings: {'; '.join(changed)}. Undo the change, remove the folder, "
            "or choose another --root."
        )


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _settings(cell: Cell) -> dict[str, Any]:
    """All hyperparameters of a cell, checked."""
    agent_class = _agent_class(cell.spec.agent)
    given = agent_class.Config.with_preset(cell.spec.preset, cell.run_config().config)
    made = from_settings(agent_class.Config, given, f"agent {cell.spec.agent}")
    return dict(made.to_kwargs())


@cache
def _agent_class(name: str) -> Any:
    return catalog.load(catalog.find("agent", name))


def check_cells(cells: Sequence[Cell]) -> None:
    """Check that there is something to do.

    Raises:
        InvalidParameter: no cell is left.
    """
    if not cells:
        raise InvalidParameter("No run of the study is chosen. See: agentgym study status FILE")
