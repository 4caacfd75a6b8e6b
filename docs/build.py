"""Write the tables of the README and of docs/ from the metric definitions and the permissions.

`python docs/build.py` writes them, `--check` fails when they are not current.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from exporter.access.operations import OPERATIONS
from exporter.access.policy import NAMES, document, grants_of
from exporter.metrics import markdown_table

ROOT = Path(__file__).parent.parent
BEGIN = "<!-- metrics: written by `make docs` -->\n"
END = "<!-- end of metrics -->"
POLICY_BEGIN = "<!-- permissions: written by `make docs` -->\n"
POLICY_END = "<!-- end of permissions -->"
METRICS_PAGE = f"""# Metrics

Written by `make docs` from `exporter/metrics.py`; do not edit.

What is unknown has no series: a counter is absent, not 0, where no flow log tells, and a gauge is
absent while its source cannot be seen. `privatelink_collector_up` tells which source that is.

{markdown_table()}
Beside these: what prometheus_client tells of every Python process (`process_*`, `python_*`).
"""


def policy() -> str:
    """Return the policy of an account whose flow logs are in log groups, as a block of Markdown."""
    wanted = [
        operation
        for operation in OPERATIONS
        if operation.holder == "account"
        and (operation.collector != "flow_logs" or operation.name == "FilterLogEvents")
    ]
    written = json.dumps(document(grants_of(wanted, NAMES)), indent=2)
    return f"```json\n{written}\n```\n"


def outputs() -> dict[Path, str]:
    """Return each generated file's path and its text as it should be."""
    readme = ROOT / "README.md"
    text = _between(readme.read_text(), BEGIN, markdown_table(), END)
    text = _between(text, POLICY_BEGIN, policy(), POLICY_END)
    return {readme: text, ROOT / "docs" / "metrics.md": METRICS_PAGE}


def _between(text: str, begin: str, new: str, end: str) -> str:
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}{new}{end}{after}"


def main() -> int:
    """Write or check; returns the exit code."""
    wanted = outputs()
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            sys.stderr.write(f"{path.relative_to(ROOT)} is not current: run `make docs`\n")
        return 1 if stale else 0
    for path in stale:
        path.write_text(wanted[path])
    return 0


if __name__ == "__main__":
    sys.exit(main())
