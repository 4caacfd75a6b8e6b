"""EC2's describe operations over AWS-shaped dicts, on the wire as botocore's model has it.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from botocore.loaders import Loader
from botocore.model import ListShape, OperationModel, ServiceModel, Shape, StructureShape

Row = dict[str, Any]
Tables = Mapping[str, list[Row]]

MODEL = ServiceModel(Loader().load_service_model("ec2", "service-2"))


class Ec2Error(Exception):
    """Raised for a request that EC2 would refuse; `code` and `message` go over the wire."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class _Describe(NamedTuple):
    """Which table an operation lists, and how its rows are named in requests and errors."""

    table: str
    id: str
    ids: str
    missing: str


_DESCRIBES = {
    "DescribeVpcEndpoints": _Describe(
        "VpcEndpoints", "VpcEndpointId", "VpcEndpointIds", "InvalidVpcEndpointId.NotFound"
    ),
    "DescribeNetworkInterfaces": _Describe(
        "NetworkInterfaces",
        "NetworkInterfaceId",
        "NetworkInterfaceIds",
        "InvalidNetworkInterfaceID.NotFound",
    ),
    "DescribeVpcs": _Describe("Vpcs", "VpcId", "VpcIds", "InvalidVpcID.NotFound"),
    "DescribeSubnets": _Describe("Subnets", "SubnetId", "SubnetIds", "InvalidSubnetID.NotFound"),
    "DescribeFlowLogs": _Describe(
        "FlowLogs", "FlowLogId", "FlowLogIds", "InvalidFlowLogId.NotFound"
    ),
    "DescribeSecurityGroups": _Describe(
        "SecurityGroups", "GroupId", "GroupIds", "InvalidGroup.NotFound"
    ),
}


def answer(tables: Tables, parameters: Mapping[str, str]) -> str:
    """Return the XML that answers a request's form parameters; raises Ec2Error."""
    name = parameters.get("Action", "")
    if name not in MODEL.operation_names:
        raise Ec2Error("InvalidAction", f"The action {name} is not valid for this web service.")
    operation = MODEL.operation_model(name)
    request = _parse(operation.input_shape, parameters, "")
    if name == "DescribeVpcAttribute":
        return _serialize(operation, _vpc_attribute(tables, request))
    if name not in _DESCRIBES:
        raise Ec2Error("InvalidAction", f"The simulator does not answer {name}.")
    return _serialize(operation, _describe(_DESCRIBES[name], tables, request))


def error_xml(error: Ec2Error) -> str:
    """Return the XML of an error."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error>'
        f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
        "</Error></Errors><RequestID>simulated</RequestID></Response>"
    )


def _describe(kind: _Describe, tables: Tables, request: Row) -> Row:
    rows = list(tables.get(kind.table, ()))
    wanted = request.get(kind.ids)
    if wanted:
        if "MaxResults" in request:
            raise Ec2Error("InvalidParameterCombination", "MaxResults goes without ids.")
        by_id = {row[kind.id]: row for row in rows}
        missing = [i for i in wanted if i not in by_id]
        if missing:
            raise Ec2Error(kind.missing, f"The ids {', '.join(missing)} do not exist")
        rows = [by_id[i] for i in wanted]
    for condition in request.get("Filters") or request.get("Filter") or ():
        rows = [row for row in rows if _matches(row, condition)]
    start = 0
    if request.get("NextToken"):
        if not request["NextToken"].isdecimal():
            raise Ec2Error("InvalidNextToken", "The token is not valid.")
        start = int(request["NextToken"])
    size = int(request.get("MaxResults") or 1000)
    more = start + size < len(rows)
    return {
        kind.table: rows[start : start + size],
        **({"NextToken": str(start + size)} if more else {}),
    }


def _matches(row: Row, condition: Row) -> bool:
    name, values = condition["Name"], condition.get("Values", [])
    if name.startswith("tag:"):
        tags = {tag["Key"]: tag["Value"] for tag in row.get("Tags", ())}
        return tags.get(name[4:]) in values
    key = "".join(part.capitalize() for part in re.split("[-_]", name))
    key = {"VpcEndpointState": "State"}.get(key, key)
    if key not in row:
        raise Ec2Error("InvalidParameterValue", f"The filter '{name}' is invalid")
    return str(row[key]) in values


def _vpc_attribute(tables: Tables, request: Row) -> Row:
    for row in tables.get("Vpcs", ()):
        if row["VpcId"] == request.get("VpcId"):
            name = request["Attribute"]
            key = name[:1].upper() + name[1:]
            return {"VpcId": row["VpcId"], key: {"Value": row["Attributes"][key]}}
    raise Ec2Error("InvalidVpcID.NotFound", f"The vpc ID '{request.get('VpcId')}' does not exist")


def _parse(shape: Shape, parameters: Mapping[str, str], prefix: str) -> Any:
    """Return a request's parameters as botocore's caller gave them; None for what is absent."""
    if isinstance(shape, StructureShape):
        found = {}
        for name, member in shape.members.items():
            wire = member.serialization.get("queryName")
            if wire is None:
                wire = member.serialization.get("name", name)
                wire = wire[:1].upper() + wire[1:]
            value = _parse(member, parameters, f"{prefix}.{wire}" if prefix else wire)
            if value is not None:
                found[name] = value
        return found or ({} if not prefix else None)
    if isinstance(shape, ListShape):
        items: list[Any] = []
        while True:
            item = _parse(shape.member, parameters, f"{prefix}.{len(items) + 1}")
            if item is None:
                return items or None
            items.append(item)
    return parameters.get(prefix)


def _serialize(operation: OperationModel, value: Row) -> str:
    inner = "".join(_members(operation.output_shape, value))
    namespace = MODEL.metadata["xmlNamespace"]
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><{operation.name}Response xmlns="{namespace}">'
        f"<requestId>simulated</requestId>{inner}</{operation.name}Response>"
    )


def _members(shape: StructureShape, value: Row) -> list[str]:
    """Return the XML of a structure's members; other keys are the simulator's own."""
    return [
        _element(member, member.serialization.get("name", name), value[name])
        for name, member in shape.members.items()
        if value.get(name) is not None
    ]


def _element(shape: Shape, name: str, value: Any) -> str:
    if isinstance(shape, StructureShape):
        inner = "".join(_members(shape, value))
    elif isinstance(shape, ListShape):
        item = shape.member.serialization.get("name", "item")
        inner = "".join(_element(shape.member, item, v) for v in value)
    elif isinstance(value, bool):
        inner = "true" if value else "false"
    elif isinstance(value, datetime):
        inner = value.isoformat().replace("+00:00", "Z")
    else:
        inner = escape(str(value))
    return f"<{name}>{inner}</{name}>"
