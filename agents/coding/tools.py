"""The tools of a coding agent, bash, edit and done, as commands of a text environment."""

import base64
import json
from dataclasses import dataclass

from agentgym.errors import AskError

__all__ = ["Call", "FormatError", "instructions", "parse"]

_OLD, _BETWEEN, _NEW = "<<<<<<< OLD\n", "\n=======\n", "\n>>>>>>> NEW"


class FormatError(AskError):
    """An answer that is no tool call; the message tells the model what to do."""


@dataclass(frozen=True)
class Call:
    """A tool call.

    Attributes:
        tool: "bash", "edit", "done" or "extend".
        command: what the environment is given; "" for "extend".
    """

    tool: str
    command: str


def instructions(requests: bool) -> str:
    """What a model is told about the tools."""
    lines = [
        "Answer with one tool call and nothing else.",
        "bash COMMAND: run a command.",
        f"edit PATH, then on the following lines\n{_OLD}old text{_BETWEEN}new text{_NEW}\n"
        "replaces a text that occurs once in a file.",
        "done: submit your work.",
    ]
    if requests:
        lines.append("extend: ask for more turns.")
    return "\n".join(lines)


def parse(text: str) -> Call:
    """Read an answer.

    Raises:
        FormatError: it is no tool call.
    """
    head, _, rest = text.strip().partition("\n")
    tool, _, about = head.strip().partition(" ")
    if tool == "bash" and (about + rest).strip():
        return Call("bash", f"{about}\n{rest}".strip())
    if tool == "done" and not about and not rest.strip():
        return Call("done", "submit")
    if tool == "extend" and not about and not rest.strip():
        return Call("extend", "")
    if tool == "edit" and about:
        body = rest.strip("\n")
        if body.startswith(_OLD) and body.endswith(_NEW) and body.count(_BETWEEN) == 1:
            old, _, new = body.removeprefix(_OLD).removesuffix(_NEW).partition(_BETWEEN)
            return Call("edit", _edit_command(about.strip(), old, new))
        raise FormatError(f"An edit needs the blocks {_OLD.strip()}, {_BETWEEN.strip()} and {_NEW.strip()}.")
    raise FormatError("Answer with one tool call: bash COMMAND, edit PATH with its blocks, or done.")


def _edit_command(path: str, old: str, new: str) -> str:
    """A command that replaces a text by another if it occurs once. The texts travel as base64: no shell reads them."""
    data = base64.b64encode(json.dumps([path, old, new]).encode()).decode()
    program = (
        "import base64,json;p,o,n=json.loads(base64.b64decode(\"" + data + "\"));t=open(p).read();c=t.count(o);"
        "c==1 and open(p,\"w\").write(t.replace(o,n));"
        "print(\"Edited.\" if c==1 else \"Not edited: the old text occurs %d times.\"%c)"
    )  # fmt: skip
    return f"python3 -c '{program}'"
