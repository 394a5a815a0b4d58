"""Runs the tests of a repository in this process, in fractions of a millisecond, with guards against endless ones.

Only for programs of which every part is known: the bundled repositories and their edits by this package. Whatever an
agent writes runs in the sandbox.
"""

import ast
import builtins
import contextlib
import importlib
import signal
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from agentgym.envs.code.repositories import Repository

__all__ = ["KINDS", "Failure", "Runner", "Stopped", "tried"]

TICKS = 4000  # calls and loop turns of one test
SECONDS = 0.3  # of processor time for all tests of a repository; the original needs milliseconds
LIBRARY = ("math", "itertools", "functools", "collections", "fractions")

KINDS = (
    "one more", "one less", "more", "less", "opposite", "got true", "got false", "got none", "got something", "longer",
    "shorter", "reordered", "different", "other type", "no error", "keyerror", "indexerror", "typeerror", "valueerror",
    "zerodivision", "attributeerror", "nameerror", "other error", "hang",
)  # fmt: skip
_ERRORS = (
    (KeyError, "keyerror"), (IndexError, "indexerror"), (TypeError, "typeerror"), (ValueError, "valueerror"),
    (ZeroDivisionError, "zerodivision"), (AttributeError, "attributeerror"), (NameError, "nameerror"),
    (RecursionError, "hang"),
)  # fmt: skip


class Failure(NamedTuple):
    """A failed test.

    Attributes:
        kind: one of :data:`KINDS`.
        function: the function in which an exception was raised, otherwise the first one called; "" if none was.
        others: up to three further functions that ran, in order.
    """

    kind: str
    function: str
    others: tuple[str, ...]


class Stopped(Exception):
    """A run that took too much time or memory: whether a test would pass is not known."""


class _Hang(BaseException):
    pass


class _Unequal(Exception):
    pass


class _Late(BaseException):
    pass


class Runner:
    """Runs the tests of one repository.

    A loop inside of one call of a built-in function is not interrupted: the programs must not contain any that is long.

    Args:
        origin: the repository, whose compiled modules are kept.

    Attributes:
        tests: names of the tests, in order.
        functions: names ``module.function`` of all functions, in order.
    """

    def __init__(self, origin: Repository) -> None:
        self.origin = origin
        self.functions: list[str] = []
        self._ticks, self._order = 0, dict[int, None]()
        self._codes: dict[str, types.CodeType] = {}
        self._compiled_before: dict[tuple[str, str], types.CodeType] = {}
        for path in origin.modules:
            self.functions += [f"{_module(path)}.{name}" for name in _functions(ast.parse(origin.files[path]))]
        for path in [*self._package_files(), *origin.test_files]:
            self._codes[path] = self._compiled(path, origin.files[path])
        self.tests = [name for name, _ in self._all_tests(self._loaded(self._codes))]

    def failures(self, changed: Mapping[str, str]) -> dict[str, Failure]:
        """The tests that fail with some modules changed.

        Args:
            changed: new texts by path.

        Raises:
            Stopped: the run took too much time or memory.
            SyntaxError: a text is no program.
        """
        codes = self._codes | {path: self._compiled(path, text) for path, text in changed.items()}
        failed = {}
        with _timed():
            try:
                loaded = self._loaded(codes)
                for name, test in self._all_tests(loaded):
                    failure = self._failure(test)
                    if failure is not None:
                        failed[name] = failure
            except MemoryError:
                raise Stopped from None
        return failed

    def _failure(self, test: Callable[[], None]) -> Failure | None:
        self._ticks, self._order = 0, {}
        try:
            test()
            return None
        except _Unequal as unequal:
            return self._described(str(unequal), None)
        except _Hang:
            return self._described("hang", None)
        except MemoryError:
            raise
        except Exception as error:
            kind = next((word for wanted, word in _ERRORS if isinstance(error, wanted)), "other error")
            return self._described(kind, error)

    def _described(self, kind: str, error: Exception | None) -> Failure:
        ran = [self.functions[number] for number in self._order]
        where = ran[0] if ran else ""
        traced = error.__traceback__ if error is not None else None
        while traced is not None:
            code = traced.tb_frame.f_code
            name = f"{_module(code.co_filename)}.{code.co_name}"
            where = name if name in ran else where
            traced = traced.tb_next
        return Failure(kind, where, tuple(name for name in ran if name != where)[:3])

    # Called by the instrumented programs

    def _enter(self, number: int) -> None:
        self._order[number] = None
        self._tick()

    def _tick(self) -> None:
        self._ticks += 1
        if self._ticks > TICKS:
            raise _Hang

    # Loading

    def _package_files(self) -> list[str]:
        return [f"{self.origin.name}/__init__.py", *self.origin.modules]

    def _compiled(self, path: str, text: str) -> types.CodeType:
        if (path, text) not in self._compiled_before:
            if len(self._compiled_before) > 1000:
                self._compiled_before.clear()
            self._compiled_before[path, text] = self._compile(path, text)
        return self._compiled_before[path, text]

    def _compile(self, path: str, text: str) -> types.CodeType:
        tree = ast.parse(text)
        if path in self.origin.modules:
            _instrument(tree, _module(path), self.functions)
        return compile(tree, path, "exec", dont_inherit=True)

    def _loaded(self, codes: Mapping[str, types.CodeType]) -> dict[str, types.ModuleType]:
        """Fresh modules by dotted name."""
        modules: dict[str, types.ModuleType] = {"unittest": _unittest()}
        paths = {path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in codes}

        def load(name: str) -> types.ModuleType:
            if name not in modules:
                module = modules[name] = types.ModuleType(name)
                vars(module).update(__builtins__=own, __enter__=self._enter, __tick__=self._tick, __file__=paths[name])
                exec(codes[paths[name]], vars(module))
            return modules[name]

        def find(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
            if name in paths or name == "unittest":
                return load(name) if name in paths else modules[name]
            if name in LIBRARY:
                return importlib.import_module(name)
            raise ImportError(f"{name} is not one of the modules that repositories use.")

        own = {**vars(builtins), "__import__": find}
        for name in paths:
            load(name)
        return modules

    def _all_tests(self, modules: Mapping[str, types.ModuleType]) -> Iterator[tuple[str, Callable[[], None]]]:
        base = vars(modules["unittest"])["TestCase"]
        for path in self.origin.test_files:
            module = path.removesuffix(".py").replace("/", ".")
            for value in list(vars(modules[module]).values()):
                if isinstance(value, type) and issubclass(value, base) and value is not base:
                    for name in vars(value):
                        if name.startswith("test"):
                            yield f"{module}.{value.__name__}.{name}", getattr(value(), name)


def tried(runner: Runner, changed: Mapping[str, str]) -> dict[str, Failure] | None:
    """The failures; None if the program cannot be compiled, or the guards stopped it."""
    try:
        return runner.failures(changed)
    except (Stopped, SyntaxError):
        return None


def _instrument(tree: ast.Module, module: str, functions: list[str]) -> None:
    """Count calls of functions and turns of loops."""
    for node in list(ast.walk(tree)):
        if isinstance(node, ast.FunctionDef) and f"{module}.{node.name}" in functions:
            number = ast.Constant(functions.index(f"{module}.{node.name}"))
            node.body.insert(0, _call(node, "__enter__", number))
        elif isinstance(node, ast.For | ast.While):
            node.body.insert(0, _call(node, "__tick__"))


def _call(place: ast.stmt, name: str, *arguments: ast.expr) -> ast.Expr:
    called = ast.Name(name, ast.Load())
    whole = ast.Call(called, list(arguments), [])
    statement = ast.Expr(whole)
    for node in (called, whole, statement, *arguments):
        ast.copy_location(node, place)
    return statement


def _functions(tree: ast.Module) -> list[str]:
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


def _module(path: str) -> str:
    """``graph/routes.py`` is the module ``routes``."""
    return path.rpartition("/")[2].removesuffix(".py")


@contextlib.contextmanager
def _timed() -> Iterator[None]:
    def late(number: int, frame: Any) -> None:
        raise _Late

    before = signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    except _Late:
        raise Stopped from None
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _unittest() -> types.ModuleType:
    """A module with the assertions that the bundled tests use; it names the kind of a failure."""
    module = types.ModuleType("unittest")
    vars(module)["TestCase"] = _TestCase
    return module


class _TestCase:
    def assertEqual(self, got: Any, wanted: Any) -> None:
        if got != wanted:
            raise _Unequal(_difference(got, wanted))

    def assertTrue(self, value: Any) -> None:
        if not value:
            raise _Unequal("got false" if value is not None else "got none")

    def assertFalse(self, value: Any) -> None:
        if value:
            raise _Unequal("got true")

    def assertIsNone(self, value: Any) -> None:
        if value is not None:
            raise _Unequal("got something")

    def assertRaises(self, error: type[Exception], call: Callable[..., Any], *arguments: Any) -> None:
        try:
            call(*arguments)
        except error:
            return
        raise _Unequal("no error")


def _difference(got: Any, wanted: Any) -> str:
    if got is None:
        return "got none"
    if isinstance(got, bool) and isinstance(wanted, bool):
        return "got true" if got else "got false"
    if isinstance(got, int | float) and isinstance(wanted, int | float):
        if got - wanted in (1, -1):
            return "one more" if got > wanted else "one less"
        return "opposite" if got == -wanted else "more" if got > wanted else "less"
    if type(got) is not type(wanted):
        return "other type"
    if len(got) != len(wanted):
        return "longer" if len(got) > len(wanted) else "shorter"
    if not isinstance(got, dict) and sorted(map(repr, got)) == sorted(map(repr, wanted)):
        return "reordered"
    return "different"
