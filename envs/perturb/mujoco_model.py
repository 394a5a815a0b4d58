"""Edits of MuJoCo models in place: applied at reset, undone when the perturbed environment is closed or deleted."""

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
    """The dynamics effects of one wrapper. Edits are compared by identity."""

    def __init__(self, effects: Sequence[DynamicsPerturbation]) -> None:
        self.effects = tuple(effects)


class _Ledger:
    """The edits that are active on one model, and the original values of the edited fields."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._scratch: Any = None
        self._edits: tuple[Edit, ...] = ()
        self._before: dict[str, Array] = {}
        self._written: dict[str, Array] = {}

    def apply(self, edits: tuple[Edit, ...]) -> None:
        """Apply ``edits`` to the model's original values. Edits of outer wrappers are applied after them."""
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
        """Restore the original values, except where they have been changed since."""
        theirs = self.changed()
        for name, before in self._before.items():
            if name not in theirs:
                attrgetter(name)(self.model)[...] = before
        self._refresh()
        self._edits, self._before, self._written = (), {}, {}

    def renew(self) -> None:
        """Apply the edits again, whose effects have changed."""
        edits = self._edits
        self.undo()
        self.apply(edits)

    def release(self, edit: Edit) -> None:
        """Remove ``edit`` and the edits applied after it."""
        if edit in self._edits:
            rest = self._edits[: self._edits.index(edit)]
            self.undo()
            self.apply(rest)

    def holds(self, edit: Edit) -> bool:
        """Whether ``edit`` is active."""
        return edit in self._edits

    def changed(self) -> list[str]:
        """The fields that no longer have the values written by the edits."""
        fields = self._written.items()
        return [name for name, value in fields if not np.array_equal(attrgetter(name)(self.model), value)]

    def _refresh(self) -> None:
        """Recompute derived constants with temporary data, because mj_setConst overwrites the state it is given."""
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
    """The dynamics effects of one wrapper on the models of its worlds.

    Args:
        owner: the wrapper; when it is deleted, its edits are undone.
        effects: effects in the order of application.
        worlds: for each world its unwrapped environment and the edits of inner wrappers, innermost first.

    Attributes:
        watched: the worlds that set their own physics, for :meth:`check`.

    Raises:
        InvalidParameter: an environment has no MuJoCo model, or an effect has no influence on it.
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
        self.watched = [env for env, _ in self._worlds if _sets_own_physics(env)]
        if self._worlds:
            envs = [weakref.ref(env) for env, _ in self._worlds]
            weakref.finalize(owner, _release, self.edit, envs).atexit = False

    def apply(self) -> None:
        """Apply the edits. Called before the environment is reset, because the observation may depend on them."""
        for env, edits in self._worlds:
            _ledger(env).apply(edits)

    def replace(self, effects: Sequence[DynamicsPerturbation]) -> None:
        """Exchange the effects, at once where the edits are active. Those of other wrappers stay."""
        self.edit.effects = tuple(effects)
        for env, edits in self._worlds:
            ledger = _ledger(env)
            if ledger.holds(edits[-1]):
                ledger.renew()

    def check(self) -> None:
        """Check that the environment, which may set its own physics, has not overwritten the edits.

        Raises:
            InvalidParameter: it has.
        """
        for env in self.watched:
            lost = set(_ledger(env).changed())
            for effect in self.edit.effects:
                if fields := [field for field in effect.fields if field in lost]:
                    raise InvalidParameter(
                        f"{type(env).__name__} sets {fields[0]} itself and has overwritten the values that "
                        f"{type(effect).__name__} scaled. Change it through the environment's own parameters, or "
                        "perturb the plain Gymnasium task."
                    )

    def undo(self) -> None:
        """Remove the edits."""
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
            "It supports Gymnasium's MuJoCo tasks and environments built like them."
        )
    if reason := effect.dead(model):
        raise InvalidParameter(f"{name} would change nothing in {where}: {reason}.")
