"""The code reads what others wrote as data, never as code; every call that could is looked at."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from fornix.errors import FornixError
from fornix.study.load import load_study
from fornix.study.starter import write_starter

PROJECT = Path(__file__).parents[1]
FILES = sorted((PROJECT / "src/fornix").rglob("*.py"))

NEVER = {
    *("eval", "exec", "os.system", "os.popen", "os.execv", "tempfile.mktemp"),
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "pd.read_pickle", "marshal.loads"),
    *("joblib.load", "cloudpickle.load", "dill.load", "shelve.open", "torch.hub.load"),
    *("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load"),
}
"""Calls that run, or could run, what they are given."""

ONLY_WITH = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "yaml.compose": ("Loader", "yaml.SafeLoader"),
    "Environment": ("autoescape", True),
}
"""Calls that are safe with one setting, which must be written out."""

NEVER_WITH = {("shell", True), ("allow_pickle", True), ("weights_only", False)}
"""Settings that make any call unsafe."""


def dangers(text: str) -> Iterator[str]:
    """Yield the calls of a module that could run what they read."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func).replace("numpy.", "np.")
        given = {one.arg: _value(one.value) for one in node.keywords if one.arg}
        if name in NEVER:
            yield f"line {node.lineno}: {name}"
        if name in ONLY_WITH and given.get(ONLY_WITH[name][0]) != ONLY_WITH[name][1]:
            yield f"line {node.lineno}: {name} without {ONLY_WITH[name][0]}"
        if found := NEVER_WITH & {(key, one) for key, one in given.items() if one in (True, False)}:
            yield f"line {node.lineno}: {name} with {found}"


def _value(node: ast.expr) -> object:
    return node.value if isinstance(node, ast.Constant) else ast.unparse(node)


@pytest.mark.parametrize(
    "text",
    [
        "eval(text)",
        "pickle.loads(data)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "numpy.load(path)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text, Loader=yaml.SafeLoader)",
        "yaml.compose(text)",
        "subprocess.run(line, shell=True)",
        "Environment(undefined=StrictUndefined)",
    ],
)
def test_a_dangerous_call_is_found(text):
    assert list(dangers(text))


def test_no_module_runs_what_it_reads():
    found = {path: list(dangers(path.read_text())) for path in FILES}
    assert {path: calls for path, calls in found.items() if calls} == {}


def test_of_pickle_only_its_error_is_known():
    nodes = [node for path in FILES for node in ast.walk(ast.parse(path.read_text()))]
    plain = [node for node in nodes if isinstance(node, ast.Import)]
    assert not [one.name for node in plain for one in node.names if "pickle" in one.name]
    some = [one for one in nodes if isinstance(one, ast.ImportFrom) and "pickle" in str(one.module)]
    assert {one.name for node in some for one in node.names} == {"UnpicklingError"}


def test_a_study_that_snakemake_would_run_as_a_template_is_refused(tmp_path):
    path = write_starter("mine", tmp_path)
    path.write_text("__use_yte__: true\n" + path.read_text())
    with pytest.raises(FornixError, match="__use_yte__: unknown key"):
        load_study(path)
