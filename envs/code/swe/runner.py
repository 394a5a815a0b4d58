"""Runs tests inside of a sandbox. Its source is written there: standard library only, for Python 3.6 and later.

Its argument is a file with a mark, the kind of tests and their ids. It writes the mark and a letter for each test: 1
passed (or failed as expected), 0 failed, s skipped, - not found.
"""

import json
import os
import sys

WORST = "0s1-"  # the first of these letters among a test's results is its result


def of_pytest(names, results):  # type: ignore[no-untyped-def]
    """Run tests of pytest: whole files, of which only the named tests are kept, so that one missing id ends nothing."""
    import pytest

    wanted = set(names)
    keys = {}

    class Recorder:
        """A plugin that keeps the named tests and their results."""

        @pytest.hookimpl(trylast=True)
        def pytest_collection_modifyitems(self, items):  # type: ignore[no-untyped-def]
            """Keep the named tests. SWE-bench reads ids from logs, where they end at the first blank."""
            kept = []
            for item in items:
                name = item.nodeid if item.nodeid in wanted else item.nodeid.split(" ")[0]
                if name in wanted:
                    keys[item.nodeid] = name
                    kept.append(item)
            items[:] = kept

        def pytest_runtest_logreport(self, report):  # type: ignore[no-untyped-def]
            """Record a phase of a test."""
            name = keys.get(report.nodeid)
            if name is None or (report.passed and report.when != "call"):
                return
            expected = hasattr(report, "wasxfail")
            letter = "1" if report.passed or (report.skipped and expected) else "s" if report.skipped else "0"
            results.setdefault(name, set()).add(letter)

    silence()
    files = [name for name in dict.fromkeys(each.split("::")[0] for each in names) if os.path.exists(name)]
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", os.getcwd(), "--continue-on-collection-errors"]
    pytest.main(options + files, plugins=[Recorder()])


def of_unittest(names, results):  # type: ignore[no-untyped-def]
    """Run tests of unittest, one after the other."""
    import unittest

    silence()
    for name in names:
        loader = unittest.TestLoader()
        try:
            tests = loader.loadTestsFromName(name)
            if loader.errors:
                continue
            outcome = unittest.TestResult()
            tests.run(outcome)
            good = outcome.testsRun > 0 and outcome.wasSuccessful()
            results[name] = {"s" if good and len(outcome.skipped) == outcome.testsRun else "1" if good else "0"}
        except BaseException:  # SystemExit of a module, too
            results.setdefault(name, {"0"})


def silence():  # type: ignore[no-untyped-def]
    """What tests print from here on is not kept."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)


def main():  # type: ignore[no-untyped-def]
    """Run what the file asks for; the file is gone before any test is imported."""
    with open(sys.argv[1]) as file:
        mark, kind, names = json.load(file)
    os.remove(sys.argv[1])
    del sys.argv[1:]
    out, results = os.dup(1), {}
    (of_pytest if kind == "pytest" else of_unittest)(names, results)
    letters = "".join(min(results.get(name, "-"), key=WORST.index) for name in names)
    os.write(out, f"\n{mark}{letters}\n".encode())
    os._exit(0)
