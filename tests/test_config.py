"""The configuration file: what is accepted, and what each mistake is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exporter.config import ConfigError, Match, duration, load, parse, split_address

GOOD = """
accounts:
  - role_arn: arn:aws:iam::222233334444:role/privatelink-exporter
    external_id: example-id
    regions: [eu-west-1, us-east-1]
  - regions: [eu-west-1]
collectors:
  inventory: {interval: 60s}
  dns:
    interval: 30s
    resolvers:
      - {address: "10.0.0.2", vpcs: [vpc-0a1b2c3d4e5f60718]}
      - {address: "[fd00:ec2::253]:53"}
  flow_logs: {interval: 1m, lookback: 30m}
  connectivity: {enabled: true, interval: 2m, vpcs: [vpc-0a1b2c3d4e5f60718], tls_ports: [443, 8443]}
endpoints:
  - match: {tags: {team: [payments, orders]}}
    ports: [443]
    clients: [10.1.0.0/16, '2001:db8::/32', 10.2.0.9]
  - match: {id: vpce-0a1b2c3d4e5f60718, tags: {team: payments}}
    private_dns: false
storage: {path: ./state}
"""


def test_every_key_is_read() -> None:
    """A file that uses every key is accepted, with its values."""
    config = parse(GOOD, "config.yaml")
    assert [account.id for account in config.accounts] == ["222233334444", None]
    assert config.accounts[0].external_id == "example-id"
    assert [r.address for r in config.collectors.dns.resolvers] == [
        "10.0.0.2:53",
        "[fd00:ec2::253]:53",
    ]
    assert config.collectors.flow_logs.lookback == 1800
    several, one = config.endpoints
    assert several.ports == (443,)
    assert [str(n) for n in several.clients] == ["10.1.0.0/16", "2001:db8::/32", "10.2.0.9/32"]
    assert (several.private_dns, one.private_dns) == (None, False)
    connectivity = config.collectors.connectivity
    assert (connectivity.enabled, connectivity.interval) == (True, 120)
    assert connectivity.vpcs == ("vpc-0a1b2c3d4e5f60718",)
    assert connectivity.tls_ports == (443, 8443)


def test_names_need_not_be_asked_for() -> None:
    """The DNS collector may be switched off; it is on where nothing is said."""
    assert parse("", "x").collectors.dns.enabled
    assert not parse("collectors: {dns: {enabled: false}}", "x").collectors.dns.enabled


def test_nothing_is_needed() -> None:
    """An empty file means the defaults."""
    assert parse("", "x").collectors.inventory.interval == 60
    assert parse("# nothing\n", "x").accounts == ()
    collectors = parse("", "x").collectors
    assert collectors.flow_logs.enabled
    assert collectors.changes.enabled
    assert collectors.changes.interval == 300
    assert not parse("", "x").collectors.connectivity.enabled


FLOW_LOGS = "collectors:\n  flow_logs:\n    "
BAD = {
    "a query that may cost nothing": (
        f"{FLOW_LOGS}source: insights",
        [
            "c:2: collectors.flow_logs: source: insights is billed by volume; say with "
            "budget_dollars_per_day what it may cost"
        ],
    ),
    "Athena nowhere": (
        f"{FLOW_LOGS}sources: {{fl-0a1: athena}}\n    budget_dollars_per_day: 1",
        ["c:2: collectors.flow_logs: fl-0a1: athena needs athena: {workgroup: …, database: …}"],
    ),
    "a bucket that is read as a log group": (
        f"{FLOW_LOGS}sources: {{'arn:aws:s3:::logs/': cloudwatch}}",
        [
            "c:2: collectors.flow_logs: sources: arn:aws:s3:::logs/ is a bucket, which cloudwatch "
            "does not read"
        ],
    ),
    "a bucket by its name alone": (
        f"{FLOW_LOGS}sources: {{my-bucket: s3}}",
        ["c:2: collectors.flow_logs: sources: my-bucket is a log group, which s3 does not read"],
    ),
    "a bucket's URL": (
        f"{FLOW_LOGS}sources: {{'s3://my-bucket': s3}}",
        [
            "c:2: collectors.flow_logs: sources: s3://my-bucket: write a flow log's id (fl-…), a "
            "log group's name, or a bucket as AWS has it (arn:aws:s3:::bucket/prefix/)"
        ],
    ),
    "a queue twice": (
        f"{FLOW_LOGS}notifications: [&q 'https://sqs.eu-west-1.amazonaws.com/111122223333/q', *q]",
        ["c:2: collectors.flow_logs: notifications: a queue is listed twice"],
    ),
    "a queue of changes twice": (
        "collectors:\n  changes:\n    "
        "notifications: [&q 'https://sqs.eu-west-1.amazonaws.com/111122223333/q', *q]",
        ["c:2: collectors.changes: notifications: a queue is listed twice"],
    ),
    "a queue of flow logs and of changes": (
        "collectors:\n"
        "  changes: {notifications: [&q 'https://sqs.eu-west-1.amazonaws.com/111122223333/q']}\n"
        "  flow_logs: {notifications: [*q]}",
        [
            "c:1: collectors: https://sqs.eu-west-1.amazonaws.com/111122223333/q is named by "
            "flow_logs and by changes: one queue each"
        ],
    ),
    "unknown key at the top": (
        "account: []",
        [
            "c:1: account: unknown key; known here: accounts, organization, discovery, collectors, "
            "endpoints, metrics, storage"
        ],
    ),
    "unknown key deep down, with its line": (
        "collectors:\n  dns:\n    intervall: 30s",
        ["c:3: collectors.dns.intervall: unknown key; known here: enabled, interval, resolvers"],
    ),
    "unknown key in a list": (
        "accounts:\n  - role: x\n    regions: [eu-west-1]",
        ["c:2: accounts[0].role: unknown key; known here: role_arn, external_id, regions"],
    ),
    "every error at once, by line": (
        "storage: {path: 3}\ncollectors:\n  dns: {interval: soon}\n  inventory: {interval: 60}",
        [
            "c:1: storage.path: write a text; quote it where it looks like a number",
            "c:3: collectors.dns.interval: 'soon' is not a duration; "
            "write for example 30s, 5m or 1h30m",
            "c:4: collectors.inventory.interval: a duration needs a unit, for example 60s",
        ],
    ),
    "a Region that is none": (
        "accounts:\n  - regions:\n    - eu-west-1\n    - europe",
        ["c:4: accounts[0].regions[1]: 'europe' does not look like eu-west-1"],
    ),
    "a role without Regions": (
        "accounts:\n- role_arn: arn:aws:iam::222233334444:role/x",
        ["c:2: accounts[0]: regions: name at least one Region for this role"],
    ),
    "an external id without a role": (
        "accounts:\n- external_id: abc\n  regions: [eu-west-1]",
        ["c:2: accounts[0]: external_id goes with role_arn"],
    ),
    "one account and Region twice": (
        "accounts:\n"
        "- {role_arn: 'arn:aws:iam::222233334444:role/a', regions: [eu-west-1]}\n"
        "- {role_arn: 'arn:aws:iam::222233334444:role/b', regions: [us-east-1, eu-west-1]}",
        ["c:1: accounts[1]: 222233334444 in eu-west-1 is listed twice"],
    ),
    "the same Region twice in one account": (
        "accounts: [{regions: [eu-west-1, eu-west-1]}]",
        ["c:1: accounts[0]: the process's own account in eu-west-1 is listed twice"],
    ),
    "a resolver by name": (
        "collectors: {dns: {resolvers: [{address: 'dns.example.com:53'}]}}",
        [
            "c:1: collectors.dns.resolvers[0].address: 'dns.example.com:53' is not an IP address, "
            "with :PORT or without"
        ],
    ),
    "a resolver twice": (
        "collectors: {dns: {resolvers: [{address: '10.0.0.2'}, {address: '10.0.0.2:53'}]}}",
        ["c:1: collectors.dns: resolvers[1]: 10.0.0.2:53 is listed twice"],
    ),
    "an endpoint that nothing names": (
        "endpoints:\n- match: {}\n  ports: [443]\n- {ports: [443]}",
        [
            "c:2: endpoints[0].match: say which endpoints: {id: vpce-…} or {tags: ",
            "c:4: endpoints[1].match: required",
        ],
    ),
    "a client's address in the place of its network": (
        "endpoints:\n- match: {id: vpce-0a1}\n  clients: [10.1.0.5/16, '2001:db8::1/32', here, 10]",
        [
            "c:3: endpoints[0].clients[0]: 10.1.0.5/16 has host bits set; write 10.1.0.0/16 for "
            "the network, or 10.1.0.5/32 for that address alone",
            "c:3: endpoints[0].clients[1]: 2001:db8::1/32 has host bits set; write 2001:db8::/32 "
            "for the network, or 2001:db8::1/128 for that address alone",
            "c:3: endpoints[0].clients[2]: 'here' is not a network; write for example 10.1.0.0/16",
            "c:3: endpoints[0].clients[3]: 10 is not a network",
        ],
    ),
    "what is no port, id or tag's value": (
        "endpoints:\n- match: {id: eni-0a1, tags: {team: 3}}\n  ports: [0, 65536]",
        [
            "c:2: endpoints[0].match.id: 'eni-0a1' does not look like vpce-0a1b2c3d4e5f60718",
            "c:2: endpoints[0].match.tags.team: quote it: '3'",
            "c:3: endpoints[0].ports[0]: input should be greater than or equal to 1",
            "c:3: endpoints[0].ports[1]: input should be less than or equal to 65535",
        ],
    ),
    "an endpoint of which nothing is said, a port twice": (
        "endpoints:\n- match: {id: vpce-0a1}\n- match: {id: vpce-0a2}\n  ports: [80, 443, 80]",
        [
            "c:2: endpoints[0]: sets nothing: say ports, clients or private_dns, or remove the ",
            "c:4: endpoints[1].ports: 80 is listed twice",
        ],
    ),
    "what cannot be switched off": (
        "collectors:\n  inventory: {enabled: false, interval: 3}\n"
        "  connectivity: {tls_ports: [443, 443]}",
        [
            "c:2: collectors.inventory.enabled: the inventory cannot be switched off",
            "c:2: collectors.inventory.interval: a duration needs a unit, for example 3s",
            "c:3: collectors.connectivity.tls_ports: 443 is listed twice",
        ],
    ),
    "a resolver without an address": (
        "collectors: {dns: {resolvers: [{}]}}",
        ["c:1: collectors.dns.resolvers[0].address: required"],
    ),
    "a key twice": ("storage: {path: a}\nstorage: {path: b}", ["c:2: storage: given twice"]),
    "connecting to what is no VPC, at no port": (
        "collectors:\n  connectivity:\n    vpcs: [shop]\n    tls_ports: [0, https]",
        [
            "c:3: collectors.connectivity.vpcs[0]: 'shop' does not look like vpc-0a1b2c3d4e5f60718",
            "c:4: collectors.connectivity.tls_ports[0]: ",
            "c:4: collectors.connectivity.tls_ports[1]: ",
        ],
    ),
    "an interval of nothing": (
        "collectors: {inventory: {interval: 0s}}",
        [
            "c:1: collectors.inventory.interval: must be between 100ms and 24h",
        ],
    ),
    "not YAML": ("accounts: [", ["c:1: not YAML: expected the node content, but found "]),
    "a tab": ("a:\n\tb: 1", ["c:2: not YAML: found character '\\t' that cannot start any token"]),
    "no mapping": ("- 1", ["c:1: write keys and their values"]),
    "a list that holds itself": ("accounts: &a [*a]", ["c:1: its aliases expand to more than"]),
    "aliases of aliases of aliases": (
        "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{f'*a{i - 1},' * 9}]\n" for i in range(1, 12)),
        ["c:1: its aliases expand to more than"],
    ),
    "no list": (
        "accounts: [{regions: eu-west-1}]",
        ["c:1: accounts[0].regions: write a list, for example [a, b]"],
    ),
    "a tag that cannot be read": ("a: !!int ''", ["c:1: not YAML"]),
    "a duration without end": (
        f"collectors: {{inventory: {{interval: {'9' * 400}d}}}}",
        ["c:1: collectors.inventory.interval: "],
    ),
    "a path that is none": (
        'storage: {path: "a\\0b"}',
        ["c:1: storage.path: 'a\\x00b' does not look like ./state"],
    ),
}


@pytest.mark.parametrize(
    ("match", "endpoint_id", "tags", "matches"),
    [
        ({"id": "vpce-0a1"}, "vpce-0a1", {}, True),
        ({"id": "vpce-0a1"}, "vpce-0a2", {}, False),
        ({"tags": {"team": ("a", "b")}}, "vpce-0a1", {"team": "b", "x": "y"}, True),
        ({"tags": {"team": ("a", "b")}}, "vpce-0a1", {"team": "c"}, False),
        ({"tags": {"team": ()}}, "vpce-0a1", {"team": "c"}, True),
        ({"tags": {"team": ()}}, "vpce-0a1", {}, False),
        ({"tags": {"team": ("a",), "x": ("y",)}}, "vpce-0a1", {"team": "a"}, False),
        ({"id": "vpce-0a1", "tags": {"team": ("a",)}}, "vpce-0a1", {"team": "a"}, True),
        ({"id": "vpce-0a1", "tags": {"team": ("a",)}}, "vpce-0a1", {"team": "b"}, False),
        ({"id": "vpce-0a1", "tags": {"team": ("a",)}}, "vpce-0a2", {"team": "a"}, False),
    ],
)
def test_which_endpoints_are_meant(
    match: dict[str, Any], endpoint_id: str, tags: dict[str, str], matches: bool
) -> None:
    """By id, by tags, by both; a tag without values by its key."""
    assert Match(**match).matches(endpoint_id, tags) is matches


@pytest.mark.parametrize(("text", "messages"), BAD.values(), ids=BAD.keys())
def test_a_mistake_is_named(text: str, messages: list[str]) -> None:
    """Each mistake is reported with its line and path, all of them at once."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "c")
    assert len(caught.value.errors) == len(messages)
    for error, message in zip(caught.value.errors, messages, strict=True):
        assert error.startswith(message)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing or binary file is named."""
    with pytest.raises(ConfigError, match=r"none\.yaml: No such file"):
        load(tmp_path / "none.yaml")
    (tmp_path / "binary").write_bytes(b"a: \xff")
    with pytest.raises(ConfigError, match="not UTF-8 at byte 3"):
        load(tmp_path / "binary")


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("1h30m", 5400), ("500ms", 0.5), ("2d", 172800)]
)
def test_durations(text: str, seconds: float) -> None:
    """Durations are written as Prometheus has them."""
    assert duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.2", ("10.0.0.2", 53)),
        ("10.0.0.2:5353", ("10.0.0.2", 5353)),
        ("fd00:ec2::253", ("fd00:ec2::253", 53)),
        ("[fd00:ec2::253]:5353", ("fd00:ec2::253", 5353)),
    ],
)
def test_resolver_addresses(text: str, expected: tuple[str, int]) -> None:
    """A resolver is an address with or without a port."""
    assert split_address(text) == expected
