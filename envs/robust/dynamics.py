"""Parameters of a compiled MuJoCo model, set by name and edited in place.

Nothing is recompiled. Every edit starts from nominal arrays saved when the model was new, so going
to the far end of a range and back restores the compiled model exactly.
"""

from collections.abc import Mapping
from operator import attrgetter

import mujoco
import numpy as np

from agentgym.envs.robust.parameters import BodyForce, Friction, Parameter

__all__ = ["ParametricModel"]


class ParametricModel:
    """A compiled model with parameters that can be set.

    Args:
        model: the compiled model, not yet edited; it is edited in place from now on.
        parameters: the parameters by name.

    Attributes:
        nominal: each parameter's value in the compiled model.
        contact_friction: sliding friction of a foot-floor contact, or None if the task has no such contact.
        forces: the external force on each body by its index, [3] in newtons.
    """

    def __init__(self, model: mujoco.MjModel, parameters: Mapping[str, Parameter]) -> None:
        self.model = model
        self.parameters = dict(parameters)
        self.nominal = {name: parameter.nominal(model) for name, parameter in self.parameters.items()}
        fields = sorted({field for parameter in self.parameters.values() for field in parameter.fields})
        self._arrays = [(array, array.copy()) for array in (attrgetter(field)(model) for field in fields)]
        # mj_setConst overwrites the state it is given, so it must never be the simulation's.
        self._scratch = mujoco.MjData(model)
        self._edits: dict[str, float] = {}
        self.forces: dict[int, np.ndarray] = {}
        self._friction = next((p for p in self.parameters.values() if isinstance(p, Friction)), None)
        self.contact_friction = self._friction.of_contact(model) if self._friction else None

    def set(self, values: Mapping[str, float]) -> None:
        """Set the named parameters, and all others to their nominal values.

        A parameter at its nominal value leaves the compiled arrays unchanged. Changes apply from the next simulation
        step on. Names and values must have been checked.
        """
        edits = {name: value for name, value in values.items() if value != self.nominal[name]}
        self.forces = self._force_vectors(values)
        if edits == self._edits:
            return
        for array, saved in self._arrays:
            array[...] = saved
        for name, parameter in self.parameters.items():
            if name in edits:
                parameter.edit(self.model, edits[name])
        if self._with_constants(edits) != self._with_constants(self._edits):
            mujoco.mj_setConst(self.model, self._scratch)
        self._edits = edits
        if self._friction:
            self.contact_friction = self._friction.of_contact(self.model)

    def apply_forces(self, data: mujoco.MjData) -> None:
        """Write the external forces into the simulation state. Resets clear them, so call this before every step."""
        for body, force in self.forces.items():
            data.xfrc_applied[body, :3] = force

    def _force_vectors(self, values: Mapping[str, float]) -> dict[int, np.ndarray]:
        vectors: dict[int, np.ndarray] = {}
        for name, value in values.items():
            parameter = self.parameters[name]
            if isinstance(parameter, BodyForce):
                body = self.model.body(parameter.body).id
                vectors.setdefault(body, np.zeros(3))[parameter.axis] = value
        return vectors

    def _with_constants(self, edits: Mapping[str, float]) -> dict[str, float]:
        return {name: value for name, value in edits.items() if self.parameters[name].constants}
