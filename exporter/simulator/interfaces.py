"""Builds who is in a network: security groups, prefix lists, interfaces, clients, flow logs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Literal

from exporter.flowlogs.formats import DEFAULT
from exporter.simulator.networks import EVERYWHERE, NetworkBuilder
from exporter.simulator.state import Queue, Row

CREATED = datetime(2024, 1, 1, tzinfo=UTC)
# A rule of a group: protocol, port or None, and a CIDR block, a group's or a prefix list's id.
Rule = tuple[str, int | None, str]
ALL_OUT: Sequence[Rule] = (("-1", None, EVERYWHERE),)


class InterfaceBuilder(NetworkBuilder):
    """Adds what has rules and addresses."""

    def security_group(
        self,
        vpc_id: str,
        name: str,
        port: int | None = 443,
        *,
        ingress: Iterable[Rule] | None = None,
        egress: Iterable[Rule] = ALL_OUT,
    ) -> str:
        """Add a group that lets 10.0.0.0/8 in to the port, or `ingress`; returns its id."""
        group_id = self.new_id("sg")
        self.table("SecurityGroups").append(
            {
                "GroupId": group_id,
                "GroupName": name,
                "Description": name,
                "VpcId": vpc_id,
                "OwnerId": self.where.account,
                "SecurityGroupArn": f"arn:aws:ec2:{self.where.region}:{self.where.account}:"
                f"security-group/{group_id}",
                "Tags": [],
            }
        )
        if ingress is None:
            ingress = [] if port is None else [("tcp", port, "10.0.0.0/8")]
        for is_egress, rules in ((False, ingress), (True, egress)):
            for rule in rules:
                self._rule(group_id, is_egress, rule)
        return group_id

    def prefix_list(self, name: str, *cidrs: str, owner: str = "", list_id: str = "") -> str:
        """Add a prefix list, AWS's own or the account's; returns its id."""
        list_id = list_id or self.new_id("pl")
        owner = owner or self.where.account
        arn_owner = owner.lower()
        self.table("ManagedPrefixLists").append(
            {
                "PrefixListId": list_id,
                "PrefixListName": name,
                "PrefixListArn": f"arn:aws:ec2:{self.where.region}:{arn_owner}:"
                f"prefix-list/{list_id}",
                "AddressFamily": "IPv4",
                "State": "create-complete",
                "MaxEntries": len(cidrs),
                "Version": 1,
                "OwnerId": owner,
                "Tags": [],
                "Entries": [{"Cidr": cidr} for cidr in cidrs],
            }
        )
        return list_id

    def interface(
        self,
        subnet: Row,
        groups: Iterable[str],
        kind: str,
        description: str,
        *,
        ip: str = "ipv4",
        **more: object,
    ) -> Row:
        """Add an interface with an address in the subnet (`ip`: ipv4, dualstack, ipv6)."""
        v4 = None if ip == "ipv6" else self.address_in(subnet["SubnetId"], subnet["CidrBlock"])
        v6 = None
        if ip != "ipv4":
            block = subnet["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]
            v6 = self.address_in(subnet["SubnetId"], block)
        names = {g["GroupId"]: g["GroupName"] for g in self.table("SecurityGroups")}
        row: Row = {
            "NetworkInterfaceId": self.new_id("eni"),
            "InterfaceType": kind,
            "Description": description,
            "RequesterManaged": kind != "interface",
            "OwnerId": self.where.account,
            "VpcId": subnet["VpcId"],
            "SubnetId": subnet["SubnetId"],
            "AvailabilityZone": subnet["AvailabilityZone"],
            "AvailabilityZoneId": subnet["AvailabilityZoneId"],
            **({"PrivateIpAddress": v4} if v4 else {}),
            "PrivateIpAddresses": [{"PrivateIpAddress": v4, "Primary": True}] if v4 else [],
            "Ipv6Addresses": [{"Ipv6Address": v6, "IsPrimaryIpv6": False}] if v6 else [],
            "Groups": [{"GroupId": g, "GroupName": names.get(g, g)} for g in groups],
            "Status": "in-use",
            "SourceDestCheck": True,
            "TagSet": [],
            **more,
        }
        self.table("NetworkInterfaces").append(row)
        return row

    def client(
        self, vpc_id: str, zone: int = 0, *, group_id: str = "", name: str = "app", ip: str = "ipv4"
    ) -> str:
        """Add an instance's interface in the first tier; returns its id."""
        group_id = group_id or self.security_group(vpc_id, f"{name}-clients", None)
        subnet = self.subnets(vpc_id)[zone]
        instance = {
            "AttachmentId": self.new_id("eni-attach"),
            "InstanceId": self.new_id("i"),
            "InstanceOwnerId": self.where.account,
            "DeviceIndex": 0,
            "Status": "attached",
        }
        row = self.interface(subnet, [group_id], "interface", name, ip=ip, Attachment=instance)
        interface_id: str = row["NetworkInterfaceId"]
        return interface_id

    def flow_log(
        self,
        resource_id: str,
        group: str = "",
        log_format: str = DEFAULT,
        *,
        traffic: str = "ALL",
        aggregation: int = 60,
        error: str = "",
        bucket: str = "",
        prefix: str = "",
        parquet: bool = False,
        hive: bool = False,
        per_hour: bool = False,
    ) -> str:
        """Add a flow log of the resource's traffic, to a log group or a bucket; returns its id.

        A bucket that no account has yet becomes this account's. `prefix` has no slash at its end.
        """
        flow_log_id = self.new_id("fl")
        if bucket:
            destination = self._to_bucket(bucket, prefix, parquet, hive, per_hour)
        else:
            destination = self._to_group(group)
        self.table("FlowLogs").append(
            {
                "FlowLogId": flow_log_id,
                "FlowLogStatus": "ACTIVE",
                "ResourceId": resource_id,
                "TrafficType": traffic,
                **destination,
                "LogFormat": log_format,
                "MaxAggregationInterval": aggregation,
                "DeliverLogsStatus": "FAILED" if error else "SUCCESS",
                **({"DeliverLogsErrorMessage": error} if error else {}),
                "CreationTime": CREATED,
                "Tags": [],
            }
        )
        return flow_log_id

    def queue(
        self,
        name: str,
        bucket: str,
        envelope: Literal["plain", "sns", "eventbridge"] = "plain",
        duplicates: float = 0.0,
    ) -> None:
        """Add a queue that is told of the objects of a bucket of the account's."""
        queues = self.world.queues.setdefault(self.where, [])
        queues.append(Queue(name, bucket, envelope, duplicates))

    def _to_group(self, group: str) -> Row:
        account, region = self.where
        groups = self.world.log_groups.setdefault(self.where, [])
        if group not in groups:
            groups.append(group)
        return {
            "LogDestinationType": "cloud-watch-logs",
            "LogGroupName": group,
            "LogDestination": f"arn:aws:logs:{region}:{account}:log-group:{group}",
            "DeliverLogsPermissionArn": f"arn:aws:iam::{account}:role/flow-logs",
        }

    def _to_bucket(
        self, bucket: str, prefix: str, parquet: bool, hive: bool, per_hour: bool
    ) -> Row:
        # A name is in use once in the world, whoever's it is.
        if not any(bucket in names for names in self.world.buckets.values()):
            self.world.buckets.setdefault(self.where, []).append(bucket)
        return {
            "LogDestinationType": "s3",
            "LogDestination": f"arn:aws:s3:::{bucket}" + (f"/{prefix}/" if prefix else ""),
            "DestinationOptions": {
                "FileFormat": "parquet" if parquet else "plain-text",
                "HiveCompatiblePartitions": hive,
                "PerHourPartition": per_hour,
            },
        }

    def _rule(self, group_id: str, is_egress: bool, rule: Rule) -> None:
        protocol, port, peer = rule
        account = self.where.account
        if peer.startswith("sg-"):
            source: Row = {"ReferencedGroupInfo": {"GroupId": peer, "UserId": account}}
        elif peer.startswith("pl-"):
            source = {"PrefixListId": peer}
        else:
            source = {"CidrIpv6" if ":" in peer else "CidrIpv4": peer}
        self.table("SecurityGroupRules").append(
            {
                "SecurityGroupRuleId": self.new_id("sgr"),
                "GroupId": group_id,
                "GroupOwnerId": account,
                "IsEgress": is_egress,
                "IpProtocol": protocol,
                "FromPort": -1 if port is None else port,
                "ToPort": -1 if port is None else port,
                **source,
            }
        )
