"""Who may import whom, what importing costs, and which names are public."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fal_serverless
from fal_serverless.cli.main import GROUPS
from fal_serverless.package.runtime_layer import MODULES

PACKAGE = Path(fal_serverless.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))


def at_run_time(path: Path, *, inner: bool = False) -> set[str]:
    """Names of the modules that a file imports when it is imported (or, with inner, ever)."""
    found: set[str] = set()
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            pending.extend(node.orelse)
            continue
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not inner:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        pending.extend(ast.iter_child_nodes(node))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_import_directions(path: Path):
    part = path.relative_to(PACKAGE).parts[0]
    names = at_run_time(path, inner=True)
    ours = {name.split(".")[1] for name in names if name.startswith("fal_serverless.")}
    if part != "aws":
        assert not {name for name in names if name.startswith(("boto3", "botocore"))}
    if part != "cli":
        assert "cli" not in ours
    forbidden = {
        "package": {"publish", "aws", "gateway", "local", "remote"},
        "publish": {"aws", "gateway", "local", "remote", "manage"},
        "gateway": {"package", "publish", "local", "runtime", "remote", "manage"},
        "manage": {"package", "local", "runtime", "remote"},
        "runtime": {"package", "publish", "aws", "gateway", "local", "remote"},
    }
    wired = {"lambda_handler.py", "server.py"}
    assert not ours & forbidden.get(part, set())
    if part in ("gateway", "manage") and path.name not in wired:
        assert "aws" not in ours


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "runtime").glob("*.py")), ids=lambda path: path.name
)
def test_the_runtime_imports_the_standard_library_alone(path: Path):
    for name in at_run_time(path):
        top = name.split(".")[0]
        assert name.startswith("fal_serverless.runtime.") or top in sys.stdlib_module_names, name


def loaded_by(statement: str) -> set[str]:
    code = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(ran.stdout))


HEAVY = {"boto3", "botocore", "fastapi", "pydantic", "rich", "typer", "uv", "cloudpickle", "mangum"}


def test_importing_the_package_loads_nothing_heavy():
    statement = "from fal_serverless import isolated, cached, LambdaHost, ContainerImage"
    loaded = loaded_by(statement)
    assert not loaded & HEAVY
    # What they would take is most of what an import of the decorators may.
    assert not loaded & {"dataclasses", "inspect", "ast", "pathlib", "threading"}
    # `warnings` is one that 3.10 has not loaded by then.
    assert len(loaded - loaded_by("import typing, warnings")) <= 16


def test_importing_the_runtime_loads_nothing_heavy():
    loaded = loaded_by("import fal_serverless.runtime.handler, fal_serverless.runtime.serve")
    assert not loaded & HEAVY
    assert not loaded & {"urllib3", "email", "http.client", "ssl"}


def test_serving_needs_no_event_loop():
    assert "asyncio" not in loaded_by(
        "import fal_serverless.runtime.handler, fal_serverless.runtime.serve"
    )


def test_help_loads_nothing_of_the_commands():
    statement = "from fal_serverless.cli.main import build; build(['--help'])"
    heavy = {"boto3", "packaging", "elftools", "cloudpickle", "fal_serverless.publish"}
    assert not loaded_by(statement) & heavy


def test_serving_loads_what_its_own_command_needs():
    program = """
from fal_serverless.cli.main import build
build(["function", "serve", "app.py", "f"])
from fal_serverless import workspace
"""
    loaded = loaded_by(program)
    # What layers, images, odd requirements and other commands need is loaded by them.
    heavy = {"boto3", "filelock", "asyncio", "packaging", "tarfile", "elftools", "uv"}
    assert not loaded & heavy
    ours = {name.removeprefix("fal_serverless.") for name in loaded if "fal_serverless" in name}
    assert not ours & {"cli.logs", "cli.cron", "package.image", "aws.key_uses", "aws.scheduler"}
    assert len(loaded) < 470


@pytest.mark.parametrize(
    ("words", "modules"),
    [
        (["function", "serve", "app.py", "f"], {"function"}),
        (["fn", "logs", "--follow"], {"function", "logs"}),
        (["stack", "delete", "--yes"], {"stack", "stack_delete"}),
        (["--profile", "deploy", "stack", "delete"], {"stack", "stack_delete"}),
        (["stack", "deploy"], {"stack"}),
        (["stack", "--help"], {"stack", "stack_delete"}),
        (["stack", "deploy", "--help"], {"stack", "stack_delete"}),
        (["stack", "delet"], {"stack", "stack_delete"}),
    ],
)
def test_commands_are_loaded_when_they_are_named(words, modules):
    loaded = loaded_by(f"from fal_serverless.cli.main import build; build({words!r})")
    commands = {name for group in GROUPS for name in (group.modules or (group.name,))}
    found = {name.rpartition(".")[2] for name in loaded if name.startswith("fal_serverless.cli.")}
    assert found & commands == modules


def test_a_gateway_in_lambda_starts_without_fastapi_and_botocore():
    # Its clients included. Powertools imports botocore itself, and none of its parts.
    program = """
import os
os.environ |= {"AWS_LAMBDA_FUNCTION_NAME": "g", "AWS_REGION": "eu-central-1", "FAL_TABLE": "t",
               "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
from fal_serverless.gateway.lambda_handler import _adapter
_adapter()
"""
    loaded = loaded_by(program)
    heavy = {"fastapi", "starlette", "pydantic", "boto3", "botocore.session", "urllib3", "uvicorn"}
    assert not loaded & heavy
    assert len(loaded) < 300


def test_public_names():
    assert set(fal_serverless.__all__) == {
        "ContainerImage",
        "FalServerlessError",
        "FalServerlessHost",
        "FalServerlessKeyCredentials",
        "IsolatedFunction",
        "LambdaHost",
        "LocalHost",
        "__version__",
        "cached",
        "isolated",
        "sync_dir",
    }
    for name in fal_serverless.__all__:
        assert getattr(fal_serverless, name)


def test_the_gateways_code_has_all_that_it_imports(tmp_path: Path):
    script = PACKAGE.parent / "infra" / "build.py"
    variables = {**os.environ, "FAL_PYTHON": f"{sys.version_info[0]}.{sys.version_info[1]}"}
    command = [sys.executable, str(script), "function", str(tmp_path)]
    subprocess.run(command, env=variables, check=True)
    built = {path.relative_to(tmp_path).with_suffix("") for path in tmp_path.rglob("*.py")}
    modules = {".".join(path.parts).removesuffix(".__init__") for path in built}
    missing = set()
    for path in built:
        file = (tmp_path / path).with_suffix(".py")
        # Servers run elsewhere; publishing is there for what it knows of aliases, and packages
        # nothing.
        if file.name == "server.py":
            continue
        names = at_run_time(file, inner=path.parts[1] != "publish")
        elsewhere = "fal_serverless.package." if path.parts[1] == "publish" else "-"
        ours = {
            module_of(name)
            for name in names
            if name.startswith("fal_serverless.") and not name.startswith(elsewhere)
        }
        missing |= {(str(path), name) for name in ours - modules}
    assert not missing


def module_of(name: str) -> str:
    """The module that an imported name is, or is in."""
    place = PACKAGE.parent.joinpath(*name.split("."))
    is_module = place.is_dir() or place.with_suffix(".py").is_file()
    return name if is_module else name.rpartition(".")[0]


def test_the_runtime_layer_has_what_its_modules_import():
    for name in MODULES:
        for imported in at_run_time(PACKAGE / f"{name}.py"):
            if imported.startswith("fal_serverless."):
                assert imported.split(".")[1] in {*MODULES, "runtime"}, (name, imported)
