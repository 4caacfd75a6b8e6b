"""The daemon as a process over many accounts: it follows them, and one does not harm another."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter import metrics as m
from tests.harness import (
    ExporterProcess,
    Series,
    SimulatorProcess,
    exporter,
    select,
    simulator,
    until,
)

MANAGEMENT, CONSUMER, PROVIDER = "111122223333", "222233334444", "444455556666"
COLLECTORS = ("accounts", "inventory", "dns", "flow_logs", "changes")
ROLE = f"role_arn: 'arn:aws:iam::{CONSUMER}:role/privatelink-exporter'"


@pytest.fixture(scope="module")
def organised() -> Iterator[SimulatorProcess]:
    with simulator("--world", "organisation", "--no-clock") as running:
        yield running


@pytest.fixture
def aws(organised: SimulatorProcess) -> Iterator[SimulatorProcess]:
    yield organised
    organised.control("faults", [])


def accounts(series: Series, metric: m.Metric = m.ENDPOINT_INFO) -> set[str]:
    return {dict(labels)["account"] for labels in select(series, metric.name)}


def down(series: Series) -> set[tuple[str, str]]:
    """(collector, account) of what cannot see everything."""
    found = select(series, m.COLLECTOR_UP.name)
    return {
        (dict(labels)["collector"], dict(labels)["account"])
        for labels, value in found.items()
        if value == 0
    }


def last_success(series: Series, account: str) -> float:
    found = select(series, m.COLLECTOR_LAST_SUCCESS.name, account=account, collector="inventory")
    return min(found.values())


def has(running: ExporterProcess, wanted: set[str]) -> Series:
    """Return all series once the accounts with endpoints are those, nothing before."""
    series = running.series()
    return series if accounts(series) == wanted else {}


def test_a_reload_changes_what_is_watched(aws: SimulatorProcess, tmp_path: Path) -> None:
    """SIGHUP: accounts come and go, tags become labels; what is still watched goes on counting."""
    whole = aws.organised(tmp_path / "whole.yaml").read_text()
    listed = whole.replace(
        "organization: {role_name: privatelink-exporter, regions: all}",
        f"accounts: [{{{ROLE}, regions: [eu-west-1]}}]",
    )
    assert listed != whole
    config = tmp_path / "config.yaml"
    config.write_text(listed)
    with exporter(aws.environment, tmp_path, f"--config.file={config}") as running:
        until(running.ready, 60)
        before = until(lambda: has(running, {CONSUMER}))
        counters = select(before, m.FLOW_RECORDS.name)
        assert counters
        assert not select(before, m.SERVICE_INFO.name)

        config.write_text(whole + "metrics: {tag_labels: [team]}\n")
        running.process.send_signal(signal.SIGHUP)
        everything = until(lambda: has(running, {CONSUMER, MANAGEMENT}), 30)
        until(lambda: accounts(running.series(), m.SERVICE_INFO) == {PROVIDER}, 30)
        assert any(
            "tag_team" in dict(labels) for labels in select(everything, m.ENDPOINT_INFO.name)
        )
        assert select(running.series(), m.CONFIG_LAST_RELOAD_SUCCESSFUL.name) == {frozenset(): 1.0}
        assert counters.keys() <= select(running.series(), m.FLOW_RECORDS.name).keys()

        config.write_text(listed + "discovery: {types: [Gateway]}\n")
        running.process.send_signal(signal.SIGHUP)
        after = until(lambda: has(running, {CONSUMER}), 30)
        until(lambda: types(running.series()) == {"Gateway"}, 30)
        until(lambda: accounts(running.series(), m.COLLECTOR_UP) == {"", CONSUMER})
        assert not select(after, m.SERVICE_INFO.name)
        assert not any("tag_team" in dict(k) for k in select(after, m.ENDPOINT_INFO.name))

        config.write_text("accounts: [{regions: 3}]\nnonsense: 1\n")
        running.process.send_signal(signal.SIGHUP)
        until(
            lambda: (
                select(running.series(), m.CONFIG_LAST_RELOAD_SUCCESSFUL.name) == {frozenset(): 0.0}
            )
        )
        assert types(running.series()) == {"Gateway"}
        assert "nonsense" in running.log.read_text()
        assert running.stop() == 0


def types(series: Series) -> set[str]:
    return {dict(labels)["type"] for labels in select(series, m.ENDPOINT_INFO.name)}


def test_a_reload_while_nothing_can_be_asked(aws: SimulatorProcess, tmp_path: Path) -> None:
    """What is watched goes on: with the members that were known, or as before where none were."""
    whole = aws.organised(tmp_path / "whole.yaml").read_text()
    listed = whole.replace(
        "organization: {role_name: privatelink-exporter, regions: all}",
        f"accounts: [{{{ROLE}, regions: [eu-west-1]}}]",
    )
    config = tmp_path / "config.yaml"
    config.write_text(listed)
    with exporter(aws.environment, tmp_path, f"--config.file={config}") as running:
        until(running.ready, 60)
        until(lambda: has(running, {CONSUMER}))
        aws.control("faults", [{"kind": "denied", "operation": "ListAccounts"}])
        config.write_text(whole)
        running.process.send_signal(signal.SIGHUP)
        until(lambda: ("accounts", "") in down(running.series()))
        since = last_success(running.series(), CONSUMER)
        until(lambda: last_success(running.series(), CONSUMER) > since + 2)
        assert down(running.series()) == {("accounts", "")}
        assert accounts(running.series()) == {CONSUMER}
        aws.control("faults", [])
        until(lambda: has(running, {CONSUMER, MANAGEMENT}), 30)
        until(lambda: not down(running.series()), 30)
        backlog = select(running.series(), m.FLOW_LOG_BACKLOG.name)
        running.process.send_signal(signal.SIGHUP)
        since = last_success(running.series(), CONSUMER)
        assert backlog.keys() <= select(running.series(), m.FLOW_LOG_BACKLOG.name).keys()
        until(lambda: last_success(running.series(), CONSUMER) > since + 1)
        assert backlog.keys() <= select(running.series(), m.FLOW_LOG_BACKLOG.name).keys()
        assert running.stop() == 0


def test_accounts_that_hang_from_the_start(aws: SimulatorProcess, tmp_path: Path) -> None:
    """A role that is never answered keeps no other account from being watched."""
    aws.control(
        "faults",
        [{"kind": "timeout", "operation": "AssumeRole", "account": CONSUMER, "seconds": 600}],
    )
    config = aws.organised(tmp_path / "config.yaml")
    with exporter(aws.environment, tmp_path, f"--config.file={config}") as running:
        until(lambda: accounts(running.series(), m.SERVICE_INFO) == {PROVIDER}, 30)
        until(lambda: MANAGEMENT in accounts(running.series()), 30)
        assert not running.get("/-/ready").is_success
        aws.control("faults", [])
        until(lambda: CONSUMER in accounts(running.series()), 60)
        until(running.ready, 60)
        assert running.stop() == 0


@pytest.mark.parametrize("kind", ["denied", "timeout"])
def test_one_account_failing_leaves_the_others(
    aws: SimulatorProcess, tmp_path: Path, kind: str
) -> None:
    """Denied or hanging, an account is blind alone, and what was seen of it stands; it recovers."""
    config = aws.organised(tmp_path / "config.yaml")
    environment = {**aws.environment, "AWS_MAX_ATTEMPTS": "1"}
    with exporter(environment, tmp_path, f"--config.file={config}") as running:
        until(running.ready, 60)
        before = until(lambda: has(running, {CONSUMER, MANAGEMENT}), 30)
        until(lambda: not down(running.series()), 30)
        aws.control("faults", [{"kind": kind, "account": CONSUMER, "seconds": 600}])
        began = last_success(running.series(), PROVIDER)
        until(lambda: last_success(running.series(), PROVIDER) > began + 5, 40)
        series = running.series()
        assert accounts(series) == accounts(before)
        # Nor can the accounts collector ask that account which Regions it has.
        blind = {(collector, CONSUMER) for collector in COLLECTORS}
        assert down(series) - {("accounts", "")} <= blind
        if kind == "denied":
            assert ("inventory", CONSUMER) in down(series)
        assert select(series, m.ENDPOINT_STATE.name) == select(before, m.ENDPOINT_STATE.name)
        aws.control("faults", [])
        since = last_success(running.series(), CONSUMER)
        until(lambda: last_success(running.series(), CONSUMER) > since, 30)
        until(lambda: not down(running.series()), 30)
        assert running.stop() == 0


def test_a_role_that_cannot_be_assumed(aws: SimulatorProcess, tmp_path: Path) -> None:
    """From the start: the account is named as blind, none of it is shown, the others are."""
    aws.control("faults", [{"kind": "denied", "operation": "AssumeRole", "account": CONSUMER}])
    config = aws.organised(tmp_path / "config.yaml")
    config.write_text(config.read_text().replace("regions: all", "regions: [eu-west-1]"))
    with exporter(aws.environment, tmp_path, f"--config.file={config}") as running:
        until(running.ready, 60)
        # The provider lists the endpoint of the VPC that the consumer shares with it.
        series = until(lambda: has(running, {MANAGEMENT, PROVIDER}), 30)
        (shared,) = select(series, m.ENDPOINT_INFO.name, account=PROVIDER)
        assert dict(shared)["name"] == "shared-vpc"
        assert accounts(series, m.SERVICE_INFO) == {PROVIDER}
        assert down(series) == {(c, CONSUMER) for c in COLLECTORS[1:]}
        listed = running.json("/api/v1/endpoints")["unavailable"]
        assert {(x["account"], x["outcome"]) for x in listed} == {(CONSUMER, "denied")}
        missing = running.get("/api/v1/endpoints/vpce-0")
        assert missing.status_code == 503
        assert missing.json()["unavailable"] == listed
        assert "AccessDenied" in running.get("/").text
        aws.control("faults", [])
        until(lambda: has(running, {CONSUMER, MANAGEMENT}), 30)
        until(lambda: not down(running.series()), 30)
        assert running.stop() == 0


def test_an_account_whose_regions_are_unknown(aws: SimulatorProcess, tmp_path: Path) -> None:
    """With `regions: all` and a role that fails from the start, the account is blind by name."""
    aws.control("faults", [{"kind": "denied", "operation": "AssumeRole", "account": CONSUMER}])
    config = aws.organised(tmp_path / "config.yaml")
    with exporter(aws.environment, tmp_path, f"--config.file={config}") as running:
        until(running.ready, 60)
        assert down(running.series()) == {("accounts", CONSUMER)}
        assert "Traceback" not in running.log.read_text()
        assert running.stop() == 0
