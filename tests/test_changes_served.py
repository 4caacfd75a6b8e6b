"""Changes over HTTP: the simulator's trail, a change that is made now, and a queue's events."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
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

CONSUMER, PROVIDER = "222233334444", "444455556666"


@pytest.fixture(scope="module")
def organised() -> Iterator[SimulatorProcess]:
    with simulator("--world", "organisation", "--no-clock") as running:
        yield running


@pytest.fixture
def aws(organised: SimulatorProcess) -> Iterator[SimulatorProcess]:
    yield organised
    organised.control("faults", [])


def client(aws: SimulatorProcess, service: str, region: str = "eu-west-1") -> Any:
    environment = aws.environment
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key="simulated",
    )


def assumed(aws: SimulatorProcess, account: str, service: str) -> Any:
    """Return a client in another account."""
    role = f"arn:aws:iam::{account}:role/privatelink-exporter"
    answer = client(aws, "sts").assume_role(RoleArn=role, RoleSessionName="test")
    found = answer["Credentials"]
    return boto3.client(
        service,
        region_name="eu-west-1",
        endpoint_url=aws.environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=found["AccessKeyId"],
        aws_secret_access_key=found["SecretAccessKey"],
        aws_session_token=found["SessionToken"],
    )


def counts(series: Series, **labels: str) -> dict[str, float]:
    found = select(series, m.CHANGES.name, **labels)
    return {f"{dict(by)['event']} {dict(by)['outcome']}": value for by, value in found.items()}


def scenario(aws: SimulatorProcess, name: str) -> str:
    """Return the id of what a scenario is about."""
    found: str = aws.control("scenarios")[name]["id"]
    return found


def events(running: ExporterProcess, kind: str, id_: str) -> list[str]:
    return [c["event"] for c in running.json(f"/api/v1/{kind}/{id_}")["changes"]]


def test_who_changed_what(aws: SimulatorProcess, tmp_path: Path) -> None:
    """History is shown and tied to what it touches; what is done now is counted once."""
    config = aws.organised(tmp_path / "config.yaml")
    with exporter(aws.environment, tmp_path, f"--config.file={config}") as running:
        until(running.ready, 60)
        closed = scenario(aws, "sg-port-missing")
        until(lambda: events(running, "endpoints", closed), 30)
        assert events(running, "endpoints", closed)[:2] == [
            "AuthorizeSecurityGroupIngress",
            "RevokeSecurityGroupIngress",
        ]
        denied, revoked = running.json(f"/api/v1/endpoints/{closed}")["changes"][:2]
        assert (denied["outcome"], denied["error"]) == ("denied", "Client.UnauthorizedOperation")
        assert revoked["what"] == "revoked tcp 443 from 10.0.0.0/8"
        assert revoked["actor"] == "role/operator (session console)"
        assert events(running, "endpoints", scenario(aws, "nacl-inbound")) == [
            "CreateNetworkAclEntry"
        ]
        assert "ModifyVpcAttribute" in events(
            running, "endpoints", scenario(aws, "dns-hostnames-off")
        )
        # What was done to the hub's zone is told in another Region.
        hub = running.json(f"/api/v1/endpoints/{scenario(aws, 'hub-kms')}")["changes"]
        assert ("us-east-1", "AssociateVPCWithHostedZone") in {
            (c["region"], c["event"]) for c in hub
        }
        assert events(running, "services", scenario(aws, "no-listener")) == ["DeleteListener"]

        cause = running.json(f"/api/v1/endpoints/{closed}")["diagnosis"]["root_cause"]
        assert cause["check"] == "security_group"
        assert "RevokeSecurityGroupIngress on sg-" in cause["evidence"][-1]
        assert "by role/operator (session console) from 198.51.100.31" in cause["evidence"][-1]

        every = running.json("/api/v1/changes")
        assert every["unavailable"] == []
        moments = [c["at"] for c in every["changes"]]
        assert moments == sorted(moments, reverse=True)
        (of_group,) = [c for c in every["changes"] if c["id"] == revoked["id"]]
        assert closed in of_group["endpoints"]

        series = running.series()
        assert set(counts(series, account=CONSUMER).values()) == {0.0}
        (last,) = select(series, m.LAST_CHANGE.name, endpoint_id=closed).values()
        assert 21 * 60 < time.time() - last < 24 * 60  # the denied attempt is no change

        group = running.json(f"/api/v1/endpoints/{closed}")["security_group_ids"][0]
        permission = {
            "IpProtocol": "tcp",
            "FromPort": 8443,
            "ToPort": 8443,
            "IpRanges": [{"CidrIp": "10.0.0.0/8"}],
        }
        assumed(aws, CONSUMER, "ec2").authorize_security_group_ingress(
            GroupId=group, IpPermissions=[permission]
        )
        name = "AuthorizeSecurityGroupIngress ok"
        until(lambda: counts(running.series(), account=CONSUMER).get(name), 20)
        time.sleep(2.5)  # it is read again at each pass
        series = running.series()
        assert counts(series, account=CONSUMER, region="eu-west-1")[name] == 1
        (last,) = select(series, m.LAST_CHANGE.name, endpoint_id=closed).values()
        assert time.time() - last < 30
        assert running.stop() == 0


def test_blind(aws: SimulatorProcess, tmp_path: Path) -> None:
    """Throttled from the start: nothing is counted, and every list says what it does not have."""
    aws.control("faults", [{"kind": "throttled", "operation": "LookupEvents"}])
    config = aws.config(tmp_path / "config.yaml")
    with exporter(aws.environment, tmp_path, f"--config.file={config}") as running:
        until(running.ready, 60)
        until(lambda: running.json("/api/v1/changes")["unavailable"], 20)
        found = running.json("/api/v1/changes")
        assert found["changes"] == []
        failed = next(u for u in found["unavailable"] if u["outcome"] != "ok")
        assert failed["outcome"] == "throttled"
        assert "LookupEvents" in failed["unavailable"]
        series = running.series()
        assert set(select(series, m.COLLECTOR_UP.name, collector="changes").values()) == {0.0}
        assert not select(series, m.CHANGES.name)
        aws.control("faults", [])
        until(lambda: running.json("/api/v1/changes")["unavailable"] == [], 20)
        assert running.stop() == 0


def test_a_queue_of_events(aws: SimulatorProcess, tmp_path: Path) -> None:
    """EventBridge's events come before LookupEvents tells, once; foreign ones do not."""
    sqs = client(aws, "sqs")
    url = aws.about["queues"][0]
    ours = client(aws, "sts").get_caller_identity()["Account"]
    config = aws.config(tmp_path / "config.yaml")
    config.write_text(
        config.read_text().replace(
            "changes: {interval: 1s}", f"changes: {{interval: 2s, notifications: ['{url}']}}"
        )
    )

    def send(id_: str, account: str) -> None:
        detail = {
            "eventID": id_,
            "eventTime": f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}",
            "eventSource": "ec2.amazonaws.com",
            "eventName": "DeleteRoute",
            "awsRegion": "eu-west-1",
            "recipientAccountId": account,
            "userIdentity": {"type": "Root", "accountId": account},
            "requestParameters": {"routeTableId": "rtb-0a1"},
        }
        body = {"detail-type": "AWS API Call via CloudTrail", "source": "aws.ec2", "detail": detail}
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(body))

    with exporter(aws.environment, tmp_path, f"--config.file={config}") as running:
        until(running.ready, 60)
        sqs.send_message(QueueUrl=url, MessageBody="rubbish")
        send("foreign", "999999999999")
        for _ in range(3):
            send("ours", ours)
        until(lambda: counts(running.series()).get("DeleteRoute ok"), 20)
        time.sleep(2.5)
        assert counts(running.series())["DeleteRoute ok"] == 1
        found = [c for c in running.json("/api/v1/changes")["changes"] if c["id"] == "ours"]
        assert [c["actor"] for c in found] == [f"root (account {ours})"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert attributes["ApproximateNumberOfMessages"] == "0"
        assert attributes["ApproximateNumberOfMessagesNotVisible"] == "0"


def test_switched_off(aws: SimulatorProcess, tmp_path: Path) -> None:
    """What is off is asked for nothing and counts nothing, after a reload too."""
    config = aws.config(tmp_path / "config.yaml")
    on = config.read_text()
    off = on.replace("{interval: 500ms, lookback", "{enabled: false, interval: 500ms, lookback")
    off = off.replace("changes: {interval", "changes: {enabled: false, interval")
    config.write_text(off)
    flags = (f"--config.file={config}", "--web.enable-lifecycle")

    def collectors() -> set[str]:
        return {c["collector"] for c in running.json("/api/v1/status")["collectors"]}

    def reload(text: str) -> None:
        config.write_text(text)
        httpx.post(running.url + "/-/reload").raise_for_status()

    with exporter(aws.environment, tmp_path, *flags) as running:
        until(running.ready, 60)
        assert collectors() == {"accounts", "inventory", "dns"}
        series = running.series()
        asked = {dict(labels)["operation"] for labels in select(series, m.AWS_REQUESTS.name)}
        assert asked.isdisjoint({"LookupEvents", "FilterLogEvents"})
        counted = (m.FLOW_RECORDS, m.FLOW_COVERAGE_RATIO, m.FLOW_LOG_LINES, m.CHANGES)
        assert not any(select(series, metric.name) for metric in counted)
        reload(on)
        until(lambda: select(running.series(), m.FLOW_COVERAGE_RATIO.name), 20)
        until(lambda: collectors() >= {"changes", "flow_logs"}, 20)
        reload(off)
        until(lambda: collectors() == {"accounts", "inventory", "dns"}, 20)
        time.sleep(1.5)
        assert collectors() == {"accounts", "inventory", "dns"}
        assert not any(select(running.series(), metric.name) for metric in counted)
