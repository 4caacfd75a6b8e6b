"""The organisation over HTTP, and clients of every account."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import boto3
import botocore.config
import pytest

from exporter.simulator.organisation import MANAGEMENT, organisation
from exporter.simulator.server import Simulator
from exporter.simulator.state import REGION

Client = Callable[..., Any]
CONFIG = botocore.config.Config(
    connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 1}
)


def clients_of(simulator: Simulator) -> Client:
    """Return a function that returns a client: service, account, Region."""
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    own = boto3.Session("AKIAIOSFODNN7EXAMPLE", "simulated", region_name=REGION)
    loader = own._session.get_component("data_loader")

    @cache
    def session(account: str) -> boto3.Session:
        if account == simulator.world.management:
            return own
        sts = own.client("sts", REGION, endpoint_url=simulator.url, config=CONFIG)
        role = f"arn:aws:iam::{account}:role/privatelink-exporter"
        given = sts.assume_role(RoleArn=role, RoleSessionName="tests")["Credentials"]
        made = boto3.Session(
            given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], REGION
        )
        made._session.register_component("data_loader", loader)
        return made

    @cache
    def client(service: str, account: str = MANAGEMENT, region: str = REGION) -> Any:
        return session(account).client(service, region, endpoint_url=simulator.url, config=CONFIG)

    return client


def newest(client: Client, account: str, name: str) -> dict[str, Any]:
    """Return the newest event of that name."""
    answer = client("cloudtrail", account).lookup_events(
        LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": name}]
    )
    event: dict[str, Any] = json.loads(answer["Events"][0]["CloudTrailEvent"])
    return event


@pytest.fixture(scope="session")
def quiet() -> Iterator[Simulator]:
    """The organisation without traffic, for tests that only look."""
    simulator = Simulator(organisation())
    simulator.start(clock=False)
    yield simulator
    simulator.stop()


@pytest.fixture(scope="session")
def client(quiet: Simulator) -> Client:
    return clients_of(quiet)


@pytest.fixture
def changing() -> Iterator[Simulator]:
    """An organisation of its own, for a test that changes it or makes it fail."""
    simulator = Simulator(organisation())
    simulator.start(clock=False)
    yield simulator
    simulator.stop()
