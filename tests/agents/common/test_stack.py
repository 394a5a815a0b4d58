"""The stack against autograd, update by update."""

import copy
import itertools
import subprocess
import sys

import numba
import numba.core.caching
import numpy as np
import pytest
import torch
from torch import Tensor

from agentgym.agents.common.optim import FusedAdam, polyak_update
from agentgym.agents.common.stack import kernels
from agentgym.agents.common.stack.memory import Scratch
from agentgym.agents.common.stack.stack import Stack

SHAPES = [
    pytest.param(n, layers, batch, id=f"{n} of {layers}, batch {batch}")
    for n, layers, batch in [
        (1, (256, 256), 256), (2, (256, 256), 256), (3, (256, 256), 100), (5, (64, 48, 32), 64), (2, (64, 48, 32), 1),
        (1, (64, 48, 32), 257), (2, (128,), 32), (3, (128,), 256), (5, (128,), 7),
    ]
]  # fmt: skip
INPUTS, ACTIONS = 23, 6


def _parameters(n: int, sizes: tuple[int, ...], dtype: torch.dtype) -> list[Tensor]:
    found = []
    for into, out in itertools.pairwise(sizes):
        found += [torch.randn(n, out, into) / into**0.5, torch.randn(n, out) / into**0.5]
    return [tensor.to(dtype).requires_grad_() for tensor in found]


def _made(n: int, layers: tuple[int, ...], outputs: int, dtype: torch.dtype) -> tuple[Stack, list[Tensor]]:
    """A stack, and a float64 copy of its parameters for autograd."""
    torch.manual_seed(0)
    sizes = (INPUTS, *layers, outputs)
    parameters = _parameters(n, sizes, dtype)
    exact = [tensor.detach().double().requires_grad_() for tensor in parameters]
    return Stack(n, sizes, parameters, Scratch(), FusedAdam(parameters, lr=1e-3)), exact


def _through(x: Tensor, parameters: list[Tensor]) -> Tensor:
    """[n, B, out] for autograd."""
    for k in range(0, len(parameters), 2):
        x = x @ parameters[k].mT + parameters[k + 1].unsqueeze(1)
        x = x.relu() if k < len(parameters) - 2 else x
    return x


def _assert_close(found: Tensor, exact: Tensor, tolerance: float) -> None:
    assert found.shape == exact.shape
    worst = (found.double() - exact).abs().max() / exact.abs().max()
    assert worst <= tolerance, f"{worst:.2g} of the largest entry"


TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-12}


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize(("n", "layers", "batch"), SHAPES)
def test_critics(n, layers, batch, dtype):
    """Three updates in a row: regression, Adam with targets, and back to the actions through the smallest."""
    stack, exact = _made(n, layers, 1, dtype)
    targets = [tensor.detach().clone() for tensor in stack.owned]
    slow, slow_exact = Stack(n, stack.sizes, targets, stack.scratch), [t.detach().double() for t in targets]
    optimizer = torch.optim.Adam(exact, lr=1e-3)
    for update in range(3):
        x, y = torch.randn(batch, INPUTS, dtype=dtype), 3 * torch.randn(batch, dtype=dtype)
        found, squares = stack.regress(x, y, 1 / batch)
        q = _through(x.double(), exact).squeeze(2)
        loss = (q - y.double()).square().sum()
        gradients = torch.autograd.grad(loss / (2 * batch), exact)
        _assert_close(found, q, TOLERANCES[dtype])
        assert squares == pytest.approx(float(loss.detach()), rel=TOLERANCES[dtype])
        for tensor, expected in zip(stack.owned, gradients, strict=True):
            _assert_close(tensor.grad, expected, TOLERANCES[dtype])

        moves = update != 1
        stack.adam(slow if moves else None, 0.1)
        for tensor, ours in zip(exact, stack.owned, strict=True):
            tensor.grad = ours.grad.double()  # Adam divides by them: a last bit of a small one would be a step
        optimizer.step()
        if moves:
            polyak_update([tensor.detach() for tensor in exact], slow_exact, 0.1)
        for ours, expected in zip(stack.owned + targets, exact + slow_exact, strict=True):
            _assert_close(ours.detach(), expected.detach(), TOLERANCES[dtype])
        with torch.no_grad():
            for tensor, ours in zip(exact, stack.owned, strict=True):
                tensor.copy_(ours)

        found = stack.values(x, keep=True)
        torch.testing.assert_close(found, stack.values(x), rtol=0, atol=0)
        of_actions, total = stack.smallest_to_inputs(found, -1 / batch, ACTIONS)
        actions = x[:, -ACTIONS:].double().requires_grad_()
        q = _through(torch.cat([x[:, :-ACTIONS].double(), actions], 1), exact).squeeze(2)
        smallest = q.gather(0, found.argmin(0, keepdim=True)).sum()  # of near equals the one that was taken
        _assert_close(found, q.detach(), TOLERANCES[dtype])
        _assert_close(of_actions, torch.autograd.grad(-smallest / batch, actions)[0], TOLERANCES[dtype])
        assert total == pytest.approx(float(q.detach().min(0).values.sum()), rel=1e-4)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("outputs", [1, 12])
@pytest.mark.parametrize(("n", "layers", "batch"), SHAPES)
def test_outputs(n, layers, batch, outputs, dtype):
    stack, exact = _made(n, layers, outputs, dtype)
    for _ in range(2):  # the second time in used memory
        x, weight = torch.randn(batch, INPUTS, dtype=dtype), torch.randn(outputs, dtype=dtype)
        found = stack.outputs(x, keep=True)
        expected = _through(x.double(), exact)
        _assert_close(found, expected.detach(), TOLERANCES[dtype])
        stack.output_gradients(torch.cos(found) * weight)
        gradients = torch.autograd.grad((torch.sin(expected) * weight).sum(), exact)
        for tensor, gradient in zip(stack.owned, gradients, strict=True):
            _assert_close(tensor.grad, gradient, TOLERANCES[dtype])


@pytest.mark.parametrize("where", ["input", "target", "weight", "first weight"])
def test_nan_is_not_hidden(where):
    stack, _ = _made(2, (32, 16), 1, torch.float32)
    x, y = torch.randn(8, INPUTS), torch.randn(8)
    spoilt = {"input": x, "target": y, "weight": stack.owned[2].data, "first weight": stack.owned[0].data}[where]
    spoilt.view(-1)[0] = torch.nan
    q, squares = stack.regress(x, y, 1.0)
    assert np.isnan(squares)
    assert any(tensor.grad.isnan().any() for tensor in stack.owned)
    stack.adam()
    assert any(tensor.isnan().any() for tensor in stack.owned)
    if where != "target":
        assert q.isnan().any()
    of_actions, total = stack.smallest_to_inputs(stack.values(x, keep=True), 1.0, ACTIONS)
    assert np.isnan(total)
    assert of_actions.isnan().any()
    assert stack.outputs(x).isnan().any()


def _after(stack: Stack, updates: int) -> Tensor:
    generator = torch.Generator().manual_seed(updates)
    for _ in range(updates):
        stack.regress(torch.randn(16, INPUTS, generator=generator), torch.randn(16, generator=generator), 1.0)
        stack.adam()
    return stack.parameters


@pytest.mark.parametrize("way", ["optimiser", "assigned", "copied", "reset"])
def test_what_was_put_elsewhere_is_taken_over(way):
    stack, other = (_made(2, (32, 16), 1, torch.float32)[0] for _ in range(2))
    _after(stack, 3)
    if way == "copied":
        other = copy.deepcopy(stack)
        assert other.owned[0].data_ptr() != stack.owned[0].data_ptr()
    elif way == "reset":
        for tensor, value in zip(stack.owned, other.owned, strict=True):
            tensor.data = value.detach().clone()
        stack.optimizer.load_state_dict(other.optimizer.state_dict())
        stack.bind()
    else:
        for tensor, value in zip(other.owned, stack.owned, strict=True):
            tensor.data = value.detach().clone()
        other.optimizer.load_state_dict(copy.deepcopy(stack.optimizer.state_dict()))
        if way == "assigned":
            _after(other, 0)
            other.bind()
            for tensor in other.owned:
                tensor.data = tensor.detach().clone()
        other.bind()
    assert torch.equal(_after(stack, 4), _after(other, 4))
    for one, its in zip(stack.owned, other.owned, strict=True):
        assert torch.equal(one, its)
        for slot in ("step", "exp_avg", "exp_avg_sq"):
            assert torch.equal(stack.optimizer.state[one][slot], other.optimizer.state[its][slot]), slot
    shown = torch.cat([stack.optimizer.state[one]["exp_avg"].flatten() for one in stack.owned])
    assert shown.data_ptr() != stack.means.data_ptr()
    assert stack.optimizer.state[stack.owned[0]]["exp_avg"].data_ptr() == stack.means.data_ptr()


def test_there_is_one_backward_pass_for_a_forward_pass():
    stack, _ = _made(2, (32, 16), 1, torch.float32)
    found = stack.outputs(torch.randn(8, INPUTS), keep=True)
    stack.output_gradients(found)
    with pytest.raises(RuntimeError, match="keep=True"):
        stack.output_gradients(found)


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match="another number"):
        Stack(2, (3, 4, 1), _parameters(2, (3, 5, 1), torch.float32), Scratch())


def test_kernels_compile_where_no_folder_can_be_written(monkeypatch):
    def refuse(_: object) -> None:
        raise PermissionError("a read-only file system")

    monkeypatch.setattr(numba.core.caching._CacheLocator, "ensure_cache_path", refuse)

    def twice(numbers: np.ndarray) -> None:
        for i in range(len(numbers)):
            numbers[i] *= 2

    with pytest.raises(RuntimeError, match="no locator"):
        numba.njit(cache=True)(twice)
    kernel, numbers = kernels.compiled(twice), np.arange(3.0)
    kernel(numbers)
    assert numbers.tolist() == [0, 2, 4]


def test_importing_agents_does_not_import_numba():
    program = "import sys, agentgym.agents.sac.sac, agentgym.agents.mdpo.off_policy; print('numba' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).split()[-1] == "False"


@pytest.mark.parametrize("rows", [1, 4, 5])
def test_few_rows_are_those_of_a_batch(rows):
    stack, _ = _made(2, (64, 48), 6, torch.float32)
    x = torch.randn(32, INPUTS)
    torch.testing.assert_close(stack.outputs(x[:rows]), stack.outputs(x)[:, :rows])
