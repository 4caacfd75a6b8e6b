"""Every operation that is asked of AWS, once: its permission, and what is blind without it.

IAM's names of actions and resources:
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from exporter import metrics as m
from exporter.metrics import Metric

# The collector that asks, by the name that its metrics have.
Collector: TypeAlias = Literal["accounts", "inventory", "flow_logs", "changes"]
# Whose permission it is: that of the credentials an account is watched with, or that of those which
# the exporter itself has.
Holder: TypeAlias = Literal["account", "exporter"]

ENDPOINT_CHECKS = (
    "endpoint_state",
    "private_dns",
    "dns_resolution",
    "security_group",
    "network_acl",
    "route",
    "availability_zones",
    "endpoint_policy",
    "connectivity",
    "flow_rejects",
    "flow_log_coverage",
)
SERVICE_CHECKS = (
    "service_state",
    "service_private_dns",
    "acceptance",
    "nlb_listener",
    "nlb_targets",
    "nlb_security_group",
    "target_security_group",
    "availability_zones",
    "flow_log_coverage",
)
CHECKS = tuple(dict.fromkeys((*ENDPOINT_CHECKS, *SERVICE_CHECKS)))


@dataclass(frozen=True, slots=True)
class Grant:
    """An action, and what it can be restricted to: an ARN with places to fill in, or `*`."""

    action: str
    resource: str = "*"


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of AWS's API.

    `service` and `name` are those that requests are counted by. `feeds` is the part of the
    inventory that it fills, or what it is for. Where it is not asked there is no `needs`; `after`
    are operations that tell whether there is. `checks` and `metrics` suffer without it. `also`
    are permissions that AWS asks for on behalf of the caller.
    """

    service: str
    name: str
    grant: Grant
    collector: Collector
    feeds: str
    needs: str = ""
    after: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = ()
    also: tuple[Grant, ...] = ()
    holder: Holder = "account"


_ENDPOINT = (m.ENDPOINT_INFO, m.ENDPOINT_STATE)
_DNS = (m.DNS_LOOKUP_SUCCESS, m.DNS_ANSWERS_MATCH)
_FLOWS = (
    m.FLOW_RECORDS,
    m.FLOW_BYTES,
    m.FLOW_PACKETS,
    m.FLOW_REJECTED_CONNECTIONS,
    m.CLIENT_FLOW_RECORDS,
    m.CLIENT_FLOW_REJECTED_CONNECTIONS,
    m.FLOW_REJECTS_RECENT,
)
_LOGS = (m.FLOW_COVERAGE_RATIO, m.FLOW_LOG_INFO, m.FLOW_LOG_DELIVERY_OK)
_SERVICE = (
    m.SERVICE_INFO,
    m.SERVICE_STATE,
    m.SERVICE_CONNECTIONS,
    m.SERVICE_OLDEST_PENDING,
    m.SERVICE_TARGETS,
    m.SERVICE_PRIVATE_DNS_VERIFIED,
)
_ALL = (*_ENDPOINT, *_DNS, *_FLOWS, *_LOGS, *_SERVICE)
# Who comes to an endpoint and to which ports is told by its flow logs alone, unless configured.
_RECORDS = (
    "security_group",
    "network_acl",
    "route",
    "nlb_listener",
    "nlb_security_group",
    "flow_rejects",
    "flow_log_coverage",
)

_ENDPOINTS, _SERVICES = "DescribeVpcEndpoints", "DescribeVpcEndpointServiceConfigurations"
_BALANCERS, _TARGET_GROUPS = "DescribeLoadBalancers", "DescribeTargetGroups"
_AN_ENDPOINT, _A_SERVICE = "endpoint", "endpoint service of the account's own"
_A_BALANCER = "load balancer behind an endpoint service"
_A_TARGET_GROUP = "target group behind an endpoint service"
_AROUND = "VPC with an endpoint or with the load balancer of an endpoint service"
_IN_A_VPC = (_ENDPOINTS, _SERVICES)
_BEHIND = ("nlb_listener", "nlb_targets", "nlb_security_group", "target_security_group")


def _ec2(
    name: str,
    feeds: str,
    needs: str = "",
    after: tuple[str, ...] = (),
    checks: tuple[str, ...] = (),
    metrics: tuple[Metric, ...] = (),
    resource: str = "*",
) -> Operation:
    grant = Grant(f"ec2:{name}", resource)
    return Operation("ec2", name, grant, "inventory", feeds, needs, after, checks, metrics)


def _elb(
    name: str,
    feeds: str,
    needs: str,
    after: tuple[str, ...],
    checks: tuple[str, ...],
    metrics: tuple[Metric, ...] = (),
) -> Operation:
    grant = Grant(f"elasticloadbalancing:{name}")
    return Operation("elbv2", name, grant, "inventory", feeds, needs, after, checks, metrics)


def _reading(
    service: str,
    name: str,
    feeds: str,
    needs: str,
    resource: str,
    also: tuple[Grant, ...] = (),
) -> Operation:
    """Return an operation that flow logs are read by."""
    grant = Grant(f"{service}:{_ACTIONS.get(name, name)}", resource)
    after = ("DescribeFlowLogs",)
    return Operation(service, name, grant, "flow_logs", feeds, needs, after, _RECORDS, _FLOWS, also)


# Where IAM calls an operation otherwise.
_ACTIONS = {"ListObjectsV2": "ListBucket"}
_GROUP = "arn:{partition}:logs:{region}:{account}:log-group:{log_group}:*"
_BUCKET = "arn:{partition}:s3:::{bucket}"
_WORKGROUP = "arn:{partition}:athena:{region}:{account}:workgroup/{workgroup}"
_QUEUE = "arn:{partition}:sqs:{queue}"
_GLUE = "arn:{partition}:glue:{region}:{account}"
_IN_GROUPS = "flow log in a log group that is read record by record"
_IN_BUCKETS = "flow log in a bucket that is read file by file"
_BY_INSIGHTS = "flow log that Logs Insights is to count"
_BY_ATHENA = "flow log that Athena is to count"
# What Athena does with the caller's permissions.
_BEHIND_ATHENA = (
    *(
        Grant(f"glue:{name}", f"{_GLUE}:{what}")
        for name in ("GetDatabase", "GetTable", "CreateTable", "GetPartitions")
        for what in ("catalog", "database/{database}", "table/{database}/privatelink_*")
    ),
    Grant("s3:ListBucket", _BUCKET),
    Grant("s3:GetObject", _BUCKET + "/{prefix}AWSLogs/*"),
    Grant("s3:GetBucketLocation", _BUCKET),
    Grant("s3:GetBucketLocation", "arn:{partition}:s3:::{results_bucket}"),
    Grant("s3:PutObject", "arn:{partition}:s3:::{results_bucket}/{results_prefix}*"),
    Grant("s3:GetObject", "arn:{partition}:s3:::{results_bucket}/{results_prefix}*"),
)

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "sts",
        "GetCallerIdentity",
        Grant("sts:GetCallerIdentity"),
        "accounts",
        "whose the exporter's credentials are",
        "account to be watched with the exporter's own credentials",
        (),
        CHECKS,
        _ALL,
        holder="exporter",
    ),
    Operation(
        "organizations",
        "ListAccounts",
        Grant("organizations:ListAccounts"),
        "accounts",
        "the accounts of the organisation",
        "organization in the configuration",
        ("GetCallerIdentity",),
        CHECKS,
        _ALL,
        holder="exporter",
    ),
    Operation(
        "sts",
        "AssumeRole",
        Grant("sts:AssumeRole", "{role}"),
        "accounts",
        "the role of the account",
        "role to assume",
        (),
        CHECKS,
        _ALL,
        holder="exporter",
    ),
    Operation(
        "ec2",
        "DescribeRegions",
        Grant("ec2:DescribeRegions"),
        "accounts",
        "the Regions of the account",
        "regions: all in the configuration",
        (),
        CHECKS,
        _ALL,
    ),
    _ec2(
        _ENDPOINTS,
        "endpoints",
        "",
        (),
        (*ENDPOINT_CHECKS, "nlb_listener", "nlb_security_group"),
        (*_ENDPOINT, *_DNS, *_FLOWS, *_LOGS),
    ),
    _ec2(_SERVICES, "services", "", (), (*SERVICE_CHECKS, "connectivity"), _SERVICE),
    _ec2(
        "DescribeVpcEndpointAssociations",
        "endpoint_associations",
        "endpoint of type Resource or ServiceNetwork",
        (_ENDPOINTS,),
        ("endpoint_state", "dns_resolution"),
    ),
    _ec2(
        "DescribeVpcEndpointServices",
        "service_details",
        _AN_ENDPOINT,
        (_ENDPOINTS,),
        ("private_dns", "availability_zones"),
    ),
    _ec2("DescribeVpcs", "vpcs", _AROUND, _IN_A_VPC, ("private_dns",)),
    _ec2(
        "DescribeVpcAttribute",
        "vpc_attributes",
        _AROUND,
        ("DescribeVpcs",),
        ("private_dns",),
        resource="arn:{partition}:ec2:{region}:*:vpc/*",
    ),
    _ec2(
        "DescribeSubnets",
        "subnets",
        "",
        (),
        (
            "security_group",
            "network_acl",
            "route",
            "availability_zones",
            "flow_rejects",
            "nlb_listener",
            "nlb_targets",
            "nlb_security_group",
        ),
    ),
    _ec2(
        "DescribeNetworkInterfaces",
        "interfaces",
        _AROUND,
        _IN_A_VPC,
        (
            "private_dns",
            "dns_resolution",
            "availability_zones",
            "connectivity",
            *_RECORDS,
            "nlb_targets",
            "target_security_group",
        ),
        (m.DNS_ANSWERS_MATCH, *_FLOWS, m.FLOW_COVERAGE_RATIO),
    ),
    _ec2(
        "DescribeSecurityGroups",
        "security_groups",
        _AROUND,
        _IN_A_VPC,
        ("security_group", "nlb_security_group", "target_security_group"),
    ),
    _ec2(
        "DescribeSecurityGroupRules",
        "security_group_rules",
        _AROUND,
        ("DescribeSecurityGroups",),
        ("security_group", "nlb_security_group", "target_security_group"),
    ),
    _ec2("DescribeNetworkAcls", "network_acls", _AROUND, _IN_A_VPC, ("network_acl",)),
    _ec2(
        "DescribeRouteTables",
        "route_tables",
        _AROUND,
        _IN_A_VPC,
        ("private_dns", "security_group", "network_acl", "route"),
    ),
    _ec2(
        "DescribeManagedPrefixLists",
        "prefix_lists",
        "rule or route with a prefix list",
        ("DescribeSecurityGroupRules", "DescribeRouteTables"),
        ("security_group", "network_acl", "route"),
    ),
    _ec2(
        "GetManagedPrefixListEntries",
        "prefix_list_entries",
        "rule or route with a prefix list",
        ("DescribeSecurityGroupRules", "DescribeRouteTables"),
        ("security_group", "network_acl", "route"),
        resource="arn:{partition}:ec2:{region}:*:prefix-list/*",
    ),
    _ec2("DescribeFlowLogs", "flow_logs", _AROUND, _IN_A_VPC, _RECORDS, (*_FLOWS, *_LOGS)),
    _ec2(
        "DescribeVpcEndpointConnections",
        "connections",
        _A_SERVICE,
        (_SERVICES,),
        ("acceptance", *_BEHIND),
        (m.SERVICE_CONNECTIONS, m.SERVICE_OLDEST_PENDING),
    ),
    _ec2(
        "DescribeVpcEndpointServicePermissions",
        "service_permissions",
        _A_SERVICE,
        (_SERVICES,),
        resource="arn:{partition}:ec2:{region}:{account}:vpc-endpoint-service/*",
    ),
    _elb(
        _BALANCERS,
        "load_balancers",
        _A_BALANCER,
        (_SERVICES,),
        (*_BEHIND, "availability_zones", "connectivity", "flow_log_coverage"),
        (m.SERVICE_TARGETS,),
    ),
    _elb(
        "DescribeListeners",
        "listeners",
        _A_BALANCER,
        (_BALANCERS,),
        (*_BEHIND, "connectivity"),
    ),
    _elb(
        "DescribeLoadBalancerAttributes",
        "load_balancer_attributes",
        _A_BALANCER,
        (_BALANCERS,),
        ("nlb_targets", "target_security_group"),
    ),
    _elb(
        _TARGET_GROUPS,
        "target_groups",
        _A_BALANCER,
        (_SERVICES,),
        ("nlb_targets", "target_security_group"),
        (m.SERVICE_TARGETS,),
    ),
    _elb(
        "DescribeTargetGroupAttributes",
        "target_group_attributes",
        _A_TARGET_GROUP,
        (_TARGET_GROUPS,),
        ("nlb_targets", "target_security_group"),
    ),
    _elb(
        "DescribeTargetHealth",
        "target_health",
        _A_TARGET_GROUP,
        (_TARGET_GROUPS,),
        ("nlb_targets", "target_security_group"),
        (m.SERVICE_TARGETS,),
    ),
    _reading("logs", "FilterLogEvents", "records of log groups", _IN_GROUPS, _GROUP),
    _reading("s3", "ListObjectsV2", "names of files in buckets", _IN_BUCKETS, _BUCKET),
    _reading("s3", "GetObject", "files in buckets", _IN_BUCKETS, _BUCKET + "/{prefix}AWSLogs/*"),
    Operation(
        "sqs",
        "ReceiveMessage",
        Grant("sqs:ReceiveMessage", _QUEUE),
        "flow_logs",
        "what is new; without it a listing or a look-up finds it later",
        "queue among the configured notifications",
        holder="exporter",
    ),
    Operation(
        "sqs",
        "DeleteMessageBatch",
        Grant("sqs:DeleteMessage", _QUEUE),
        "flow_logs",
        "forgets messages that were followed; without it they come again",
        "message that was followed",
        ("ReceiveMessage",),
        holder="exporter",
    ),
    _reading("logs", "StartQuery", "counts by Logs Insights", _BY_INSIGHTS, _GROUP),
    _reading("logs", "GetQueryResults", "counts by Logs Insights", _BY_INSIGHTS, "*"),
    Operation(
        "logs",
        "StopQuery",
        Grant("logs:StopQuery"),
        "flow_logs",
        "ends a query that takes too long",
        "query that took too long",
    ),
    _reading(
        "athena", "StartQueryExecution", "counts by Athena", _BY_ATHENA, _WORKGROUP, _BEHIND_ATHENA
    ),
    _reading("athena", "GetQueryExecution", "counts by Athena", _BY_ATHENA, _WORKGROUP),
    _reading("athena", "GetQueryResults", "counts by Athena", _BY_ATHENA, _WORKGROUP),
    Operation(
        "athena",
        "StopQueryExecution",
        Grant("athena:StopQueryExecution", _WORKGROUP),
        "flow_logs",
        "ends a query that takes too long",
        "query that took too long",
    ),
    Operation(
        "cloudtrail",
        "LookupEvents",
        Grant("cloudtrail:LookupEvents"),
        "changes",
        "who changed what, and when",
    ),
)
BY_KEY = {(operation.service, operation.name): operation for operation in OPERATIONS}
