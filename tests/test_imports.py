"""Imports point one way, and what is heavy or foreign stays in its layer."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# What each module or package of the exporter may import of the exporter. Lower ones first.
ALLOWED = {
    "model": set(),
    "analysis": {"model"},
    "standing": {"model"},
    "metrics": set(),
    "log": set(),
    "strictyaml": set(),
    "config": {"model", "strictyaml"},
    "store": {"model"},
    "aws": {"config", "model"},
    "exposition": {"metrics"},
    "dns": {"aws", "config", "model"},
    "handshake": set(),
    "connectivity": {"dns", "handshake", "model"},
    "flowlogs": {"aws", "model", "store"},
    "world": {"aws", "config", "flowlogs", "model"},
    "facts": {"config", "flowlogs", "model", "world"},
    "unseen": {"model", "world"},
    "access": {"aws", "config", "flowlogs", "metrics", "model", "world"},
    "samples": {"config", "facts", "flowlogs", "metrics", "model", "world"},
    "held": {"analysis", "config", "flowlogs", "model", "world"},
    "publisher": {
        "analysis",
        "aws",
        "exposition",
        "facts",
        "flowlogs",
        "held",
        "model",
        "samples",
        "world",
    },
    "naming": {"model", "world"},
    "outcome": {"model", "naming", "publisher", "unseen"},
    "report": {"log", "model", "outcome", "standing", "unseen"},
    "trail": {"model"},
    "schedule": {"aws", "held", "model", "publisher", "store"},
    "queue": {
        "aws",
        "config",
        "flowlogs",
        "model",
        "publisher",
        "schedule",
        "store",
    },
    "changes": {"aws", "model", "publisher", "schedule", "trail"},
    "daemon": {
        "aws",
        "changes",
        "config",
        "connectivity",
        "dns",
        "facts",
        "flowlogs",
        "held",
        "model",
        "publisher",
        "queue",
        "schedule",
        "store",
        "trail",
    },
    "web": {"flowlogs", "log", "model", "publisher", "standing", "strictyaml", "unseen", "world"},
    "reload": {"config", "web"},
    "runtime": {"aws", "config", "daemon", "publisher", "reload", "store", "web"},
    "simulator": {"flowlogs", "metrics", "publisher", "web"},
    "diagnosing": {"aws", "config", "outcome", "publisher", "report", "runtime", "store", "web"},
    "checking": {"access", "aws", "config", "diagnosing", "model", "outcome", "report", "unseen"},
    "options": {"config", "log"},
    "cli": {
        "aws",
        "checking",
        "config",
        "diagnosing",
        "log",
        "options",
        "outcome",
        "runtime",
        "simulator",
        "store",
        "web",
    },
    "healthcheck": set(),
    "__main__": {"cli"},
}
FOREIGN = {
    "boto3": {"aws"},
    "botocore": {"aws", "simulator"},
    "moto": {"simulator"},
    "starlette": {"web"},
    "uvicorn": {"web"},
    "bcrypt": {"web"},
    "cryptography": {"handshake"},
    "sqlite3": {"store"},
    "rich": {"report"},
    "isal": {"exposition", "flowlogs"},
    "numpy": {"flowlogs"},
    "polars": {"flowlogs", "simulator"},
    "duckdb": {"simulator"},
    "prometheus_client": {"exposition"},
    "grafanalib": set(),
}


def modules() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in (ROOT / "exporter").rglob("*.py"):
        relative = path.relative_to(ROOT / "exporter")
        package = relative.parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found.setdefault(package, set()).update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                found.setdefault(package, set()).update(
                    names if node.module == "exporter" else {node.module}
                )
    return found


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_imports_point_one_way(package: str) -> None:
    """A layer imports only those below it."""
    imported = {
        name.split(".")[1] for name in modules().get(package, ()) if name.startswith("exporter.")
    }
    assert imported - {package, "__version__"} <= ALLOWED[package]


def test_every_package_has_its_place() -> None:
    """A new package is put into the order on purpose."""
    assert set(modules()) - {"__init__"} == set(ALLOWED)


@pytest.mark.parametrize("foreign", sorted(FOREIGN))
def test_libraries_stay_in_their_layer(foreign: str) -> None:
    """boto3 only where AWS is asked, HTTP only in web, SQLite only in the store."""
    users = {
        package
        for package, names in modules().items()
        if any(name.split(".")[0] == foreign for name in names)
    }
    assert users <= FOREIGN[foreign]
