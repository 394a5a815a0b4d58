"""Edits of MuJoCo models in place: made at reset, undone when the perturbed environment is closed or dropped."""

import weakref
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from agentgym.envs.perturb.dynamics import DynamicsPerturbation
from agentgym.envs.perturb.signal import Array
from agentgym.errors import InvalidParameter

__all__ = ["DynamicsEdits", "Edit"]


class Edit:
    """The dynamics effects of one wrapper; two are the same only if they are the same object."""

    def __init__(self, effects: Sequence[DynamicsPerturbation]) -> None:
        self.effects = tuple(effects)


class _Ledger:
    """Which edits are in force on one model, and what it held before them."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._scratch: Any = None
        self._edits: tuple[Edit, ...] = ()
        self._before: dict[str, Array] = {}
        self._written: dict[str, Array] = {}

    def apply(self, edits: tuple[Edit, ...]) -> None:
        """Put ``edits`` in force, from the model's own values; edits of a wrapper further out stay on top."""
        if edits == self._edits[: len(edits)]:
            return
        self.undo()
        effects = [effect for edit in edits for effect in edit.effects]
        names = {field for effect in effects for field in effect.fields}
        self._before = {name: attrgetter(name)(self.model).copy() for name in names}
        for effect in effects:
            effect.edit(self.model)
        self._written = {name: attrgetter(name)(self.model).copy() for name in names}
        self._edits = edits
        self._refresh()

    def undo(self) -> None:
        """Restore what the model held before, except where something else has written since."""
        theirs = self.changed()
        for name, before in self._before.items():
            if name not in theirs:
                attrgetter(name)(self.model)[...] = before
        self._refresh()
        self._edits, self._before, self._written = (), {}, {}

    def release(self, edit: Edit) -> None:
        """Take ``edit`` and those on top of it out of force."""
        if edit in self._edits:
            rest = self._edits[: self._edits.index(edit)]
            self.undo()
            self.apply(rest)

    def changed(self) -> list[str]:
        """The fields that no longer hold what the edits wrote."""
        fields = self._written.items()
        return [name for name, value in fields if not np.array_equal(attrgetter(name)(self.model), value)]

    def _refresh(self) -> None:
        """Recompute derived constants on scratch data: mj_setConst overwrites the state of the data it is given."""
        if not any(effect.refresh for edit in self._edits for effect in edit.effects):
            return
        import mujoco

        if self._scratch is None:
            self._scratch = mujoco.MjData(self.model)
        mujoco.mj_setConst(self.model, self._scratch)


_LEDGERS: "weakref.WeakKeyDictionary[Any, _Ledger]" = weakref.WeakKeyDictionary()


def _ledger(env: Any) -> _Ledger:
    ledger = _LEDGERS.get(env)
    if ledger is None or ledger.model is not env.model:
        ledger = _LEDGERS[env] = _Ledger(env.model)
    return ledger


class DynamicsEdits:
    """One wrapper's dynamics effects on the models of its worlds.

    Args:
        owner: the wrapper; when it is dropped, its edits are undone.
        effects: in order.
        worlds: for each world its unwrapped environment and the edits of the wrappers inside, from inside out.

    Raises:
        InvalidParameter: an environment has no MuJoCo model, or an effect would change nothing in it.
    """

    def __init__(
        self,
        owner: object,
        effects: Sequence[DynamicsPerturbation],
        worlds: Iterable[tuple[Any, tuple[Edit, ...]]],
    ) -> None:
        self.edit = Edit(effects)
        self._worlds = [(env, (*inside, self.edit)) for env, inside in worlds] if effects else []
        for env, _ in self._worlds:
            for effect in effects:
                _check_applies(effect, env)
        self._watched = [env for env, _ in self._worlds if _sets_own_physics(env)]
        if self._worlds:
            envs = [weakref.ref(env) for env, _ in self._worlds]
            weakref.finalize(owner, _release, self.edit, envs).atexit = False

    def apply(self) -> None:
        """Put the edits in force; called before the environment is reset, whose observation may depend on them."""
        for env, edits in self._worlds:
            _ledger(env).apply(edits)

    def check(self) -> None:
        """See that an environment which sets its own physics has not written over the edits.

        Raises:
            InvalidParameter: it has.
        """
        for env in self._watched:
            lost = set(_ledger(env).changed())
            for effect in self.edit.effects:
                if fields := [field for field in effect.fields if field in lost]:
                    raise InvalidParameter(
                        f"{type(env).__name__} sets {fields[0]} itself and has written over what "
                        f"{type(effect).__name__} scaled. Change it through the environment's own parameters, or "
                        "perturb the plain Gymnasium task."
                    )

    def undo(self) -> None:
        """Take the edits out of force."""
        _release(self.edit, [weakref.ref(env) for env, _ in self._worlds])


def _release(edit: Edit, envs: list[Any]) -> None:
    for reference in envs:
        env = reference()
        if env is not None and env in _LEDGERS:
            _LEDGERS[env].release(edit)


def _sets_own_physics(env: Any) -> bool:
    return hasattr(env, "set_parameters") or hasattr(env, "parameters")


def _check_applies(effect: DynamicsPerturbation, env: Any) -> None:
    import mujoco

    name, where = type(effect).__name__, type(env).__name__
    model = getattr(env, "model", None)
    if not isinstance(model, mujoco.MjModel):
        raise InvalidParameter(
            f"{name} edits a MuJoCo model, and {where} has none (no attribute 'model' of type mujoco.MjModel). "
            "It applies to Gymnasium's MuJoCo tasks and to environments made as they are."
        )
    if reason := effect.dead(model):
        raise InvalidParameter(f"{name} would change nothing in {where}: {reason}.")
