"""The command line in this process: quick, and its errors are seen."""

import sys

import pytest

from agentgym.cli.main import main


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to stand in; what the command line adds to ``sys.path`` is taken back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


@pytest.fixture
def typed(here, capsys):
    """``typed(*words)`` runs the command line: exit code, standard output, standard error."""

    def run(*words):
        code = 0
        try:
            main([str(word) for word in words])
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr()
        return code, said.out, said.err

    return run
