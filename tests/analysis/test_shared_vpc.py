"""Commands where a VPC is shared: whose each is, and groups of other accounts by their owner."""

from __future__ import annotations

from exporter.analysis.clients import Port
from exporter.analysis.fixes import by_account, open_group
from tests.analysis.lab import finding, rule
from tests.analysis.net import Net, net, reject
from tests.analysis.test_target_security_group import CHECK, targets

OWN, OTHER = "222233334444", "111122223333"


def shared() -> Net:
    """A client that is rejected, and whose group is another account's."""
    estate = net(("10.9.9.9/32",))
    estate.lab.change("security_groups", estate.client_group, owner=OTHER)
    estate.saw(reject())
    return estate


def test_a_group_of_another_account_is_named_with_its_owner() -> None:
    """Without the account AWS does not find the group; the endpoint's own account is not told."""
    estate = shared()
    fix = finding("security_group", estate.endpoint, estate.lab).fix or ""
    group = estate.client_group.id
    assert f'"UserIdGroupPairs":[{{"GroupId":"{group}","UserId":"{OTHER}"}}]' in fix
    assert "In account" not in fix


def test_a_group_that_is_not_listed_belongs_to_whose_interface_has_it() -> None:
    """The owner of a shared VPC sees interfaces whose groups it may not list."""
    estate = shared()
    del estate.lab.listings["security_groups"][estate.client_group.id]
    estate.lab.change("interfaces", estate.client, owner=OTHER)
    fix = finding("security_group", estate.endpoint, estate.lab).fix or ""
    assert f'"UserId":"{OTHER}"' in fix


def test_a_command_for_another_account_says_so() -> None:
    """The client's own group does not let it out: that is the other account's to change."""
    estate = shared()
    estate.lab.drop_rules(estate.group, egress=False)
    estate.lab.add_rule(rule(estate.group.id, "10.0.0.0/16"))
    estate.lab.drop_rules(estate.client_group, egress=True)
    first, command = (finding("security_group", estate.endpoint, estate.lab).fix or "").splitlines()
    assert first == f"In account {OTHER}:"
    assert "authorize-security-group-egress" in command
    assert f'"GroupId":"{estate.group.id}","UserId":"{OWN}"' in command


def test_an_acl_belongs_to_who_owns_the_vpc() -> None:
    """Who shares a VPC sees its network ACLs and may not change them."""
    estate = net()
    estate.lab.change("vpcs", estate.vpc, owner=OTHER)
    estate.lab.add_acl(estate.vpc, (), [estate.inner])
    estate.told("10.0.1.0/24", ports=[443])
    fix = finding("network_acl", estate.endpoint, estate.lab).fix or ""
    assert fix.startswith(f"In account {OTHER}:\naws ec2 create-network-acl-entry")


def test_a_target_of_another_account() -> None:
    """Its group is opened there, for the load balancer's, which is the provider's."""
    estate = targets(nlb=True)
    own = estate.balancer.security_group_ids[0]
    for group in list(estate.provider.listings["security_groups"].values()):
        if group.id != own:
            estate.provider.change("security_groups", group, owner=OTHER)
    fix = estate.of_service(CHECK).fix or ""
    assert fix.startswith(f"In account {OTHER}:\naws ec2 authorize-security-group-ingress")
    assert f'"GroupId":"{own}","UserId":"444455556666"' in fix


def test_own_commands_come_first() -> None:
    """What follows a line with an account is for that account."""
    told = by_account(OWN, [(OTHER, "a"), (OWN, "b"), (OTHER, "c"), (OTHER, "a"), (OWN, None)])
    assert told == f"b\nIn account {OTHER}:\na\nc"
    assert by_account(OWN, [(OTHER, None)]) is None


def test_only_an_account_enters_a_command() -> None:
    """What is no account id is left out."""
    for owner in ("amazon", "", "1111222233334"):
        command = open_group("eu-west-1", "sg-0a1", "sg-0b1", Port(6, 443), owner=owner)
        assert '[{"GroupId":"sg-0b1"}]' in (command or "")
