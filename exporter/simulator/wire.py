"""Requests and answers of AWS's three protocols, read and written as botocore's models have them.

EC2's own query protocol, the query protocol (ELBv2) and JSON 1.1 (CloudTrail, Organizations); of
S3's REST only errors, as moto does the rest.
Writers are made once per shape: a page of a thousand rows must not walk the model for each value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from botocore.loaders import Loader
from botocore.model import ListShape, OperationModel, ServiceModel, Shape, StructureShape

from exporter.simulator.state import Row

Writer = Callable[[Any], str]

XML = "text/xml;charset=UTF-8"
JSON = "application/x-amz-json-{}"
# The names that a page's token has in requests, and in answers.
_TOKENS_IN = ("NextToken", "nextToken", "Marker")
_TOKENS_OUT = ("NextToken", "nextToken", "NextMarker")


class AwsError(Exception):
    """Raised for a request that AWS would refuse; `code` and `message` go over the wire."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class Api:
    """One service on the wire."""

    def __init__(self, service: str) -> None:
        self.model = ServiceModel(Loader().load_service_model(service, "service-2"), service)
        self.protocol: str = self.model.metadata["protocol"]
        self.content_type = XML
        if self.protocol == "json":
            self.content_type = JSON.format(self.model.metadata["jsonVersion"])
        self._writers: dict[str, Writer] = {}

    def operation(self, name: str) -> OperationModel:
        """Return the operation; raises AwsError for one that the service does not have."""
        if name not in self.model.operation_names:
            raise AwsError("InvalidAction", f"The action {name} is not valid for this web service.")
        return self.model.operation_model(name)

    def parse(self, name: str, body: bytes) -> Row:
        """Return a request's parameters as botocore's caller gave them; raises AwsError."""
        shape = self.operation(name).input_shape
        if shape is None:
            return {}
        if self.protocol == "json":
            request = _from_json(shape, json.loads(body or b"{}"))
        else:
            request = self._from_tree(shape, _tree(body)) or {}
        for member in shape.required_members:
            if member not in request:
                raise AwsError(
                    "MissingParameter" if self.protocol == "ec2" else "ValidationError",
                    f"The request must contain the parameter {member}",
                )
        return dict(request)

    def answer(self, name: str, value: Row) -> bytes:
        """Return the body of an answer; keys that the model does not know stay the simulator's."""
        operation = self.operation(name)
        if self.protocol == "json":
            return json.dumps(_to_json(operation.output_shape, value)).encode()
        shape = operation.output_shape
        inner = self._writer(shape)(value) if shape else ""
        namespace = self.model.metadata["xmlNamespace"]
        if self.protocol == "ec2":
            inner = f"<requestId>simulated</requestId>{inner}"
        else:
            wrapper = shape.serialization.get("resultWrapper", f"{name}Result")
            inner = (
                f"<{wrapper}>{inner}</{wrapper}>"
                "<ResponseMetadata><RequestId>simulated</RequestId></ResponseMetadata>"
            )
        return (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<{name}Response xmlns="{namespace}">'
            f"{inner}</{name}Response>"
        ).encode()

    def error(self, error: AwsError) -> bytes:
        """Return the body of an error, in the protocol's form."""
        if self.protocol == "json":
            return json.dumps({"__type": error.code, "message": error.message}).encode()
        code, message = escape(error.code), escape(error.message)
        if self.protocol == "rest-xml":
            return (
                f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code>'
                f"<Message>{message}</Message><RequestId>simulated</RequestId></Error>"
            ).encode()
        if self.protocol == "ec2":
            return (
                '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error>'
                f"<Code>{code}</Code><Message>{message}</Message>"
                "</Error></Errors><RequestID>simulated</RequestID></Response>"
            ).encode()
        sender = "Sender" if error.status < 500 else "Receiver"
        return (
            f'<ErrorResponse xmlns="{self.model.metadata.get("xmlNamespace", "")}">'
            f"<Error><Type>{sender}</Type><Code>{code}</Code><Message>{message}</Message></Error>"
            "<RequestId>simulated</RequestId></ErrorResponse>"
        ).encode()

    def empty_page(self, name: str, token: str) -> bytes | None:
        """Return a page without rows, but with a token; None for what is not paged."""
        if name not in self.model.operation_names or self.token_in(name) is None:
            return None
        shape = self.model.operation_model(name).output_shape
        found = next((t for t in _TOKENS_OUT if shape and t in shape.members), None)
        if found is None:
            return None
        lists: Row = {n: [] for n, m in shape.members.items() if isinstance(m, ListShape)}
        return self.answer(name, {**lists, found: token})

    def token_in(self, name: str) -> str | None:
        """Return the name of the parameter that takes a page's token; None for what has none."""
        if self.protocol == "rest-xml" or name not in self.model.operation_names:
            return None
        shape = self.model.operation_model(name).input_shape
        return next((t for t in _TOKENS_IN if shape and t in shape.members), None)

    def _from_tree(self, shape: Shape, node: Any) -> Any:
        """Return a query's value; None for what is absent."""
        if node is None:
            return None
        if isinstance(shape, StructureShape):
            found = {}
            for name, member in shape.members.items():
                value = self._from_tree(member, node.get(self._wire_name(name, member)))
                if value is not None:
                    found[name] = value
            return found
        if isinstance(shape, ListShape):
            if self.protocol == "query" and not shape.serialization.get("flattened"):
                node = node.get(shape.member.serialization.get("name", "member"), {})
            keys = sorted((k for k in node if k.isdecimal()), key=int)
            return [self._from_tree(shape.member, node[key]) for key in keys]
        return _scalar(shape, node)

    def _wire_name(self, name: str, member: Shape) -> str:
        wire: str = member.serialization.get("name", name)
        if self.protocol == "ec2":
            wire = member.serialization.get("queryName", wire[:1].upper() + wire[1:])
        return wire

    def _writer(self, shape: Shape) -> Writer:
        """Return what turns a value into the inside of its XML element."""
        if isinstance(shape, StructureShape):
            return self._structure(shape)
        if isinstance(shape, ListShape):
            default = "item" if self.protocol == "ec2" else "member"
            name = shape.member.serialization.get("name", default)
            start, end, write = f"<{name}>", f"</{name}>", self._writer(shape.member)
            return lambda values: "".join([f"{start}{write(v)}{end}" for v in values])
        if shape.type_name == "boolean":
            return lambda value: "true" if value else "false"
        if shape.type_name == "timestamp":
            return _iso
        if shape.type_name == "string":
            return lambda value: escape(str(value))
        return str

    def _structure(self, shape: StructureShape) -> Writer:
        found = self._writers.get(shape.name)
        if found is not None:
            return found
        fields: dict[str, tuple[str, str, Writer]] = {}

        def write(value: Mapping[str, Any]) -> str:
            out = []
            for key, inner in value.items():
                known = fields.get(key)
                if known is not None and inner is not None:
                    start, end, writer = known
                    out.append(f"{start}{writer(inner)}{end}")
            return "".join(out)

        # Before its members: a shape may hold itself.
        self._writers[shape.name] = write
        for key, member in shape.members.items():
            name = member.serialization.get("name", key)
            fields[key] = (f"<{name}>", f"</{name}>", self._writer(member))
        return write


@cache
def api(service: str) -> Api:
    """Return the service by its name in boto3, such as elbv2; loaded at the first call."""
    return Api(service)


def _tree(body: bytes) -> Row:
    """Return form parameters as a tree: `Filter.1.Name=x` is {"Filter": {"1": {"Name": "x"}}}."""
    root: Row = {}
    for key, value in parse_qsl(body.decode(), keep_blank_values=True):
        node = root
        *path, last = key.split(".")
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    return root


def _scalar(shape: Shape, text: str) -> Any:
    if shape.type_name == "boolean":
        return text.lower() == "true"
    if shape.type_name in ("integer", "long"):
        if not text.lstrip("-").isdecimal():
            raise AwsError("InvalidParameterValue", f"Value ({text}) is not an integer")
        return int(text)
    return text


def _iso(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"


def _from_json(shape: Shape, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(shape, StructureShape):
        return {
            name: _from_json(member, value[name])
            for name, member in shape.members.items()
            if value.get(name) is not None
        }
    if isinstance(shape, ListShape):
        return [_from_json(shape.member, v) for v in value]
    if shape.type_name == "timestamp":
        return datetime.fromtimestamp(value, UTC)
    return value


def _to_json(shape: Shape | None, value: Any) -> Any:
    if isinstance(shape, StructureShape):
        return {
            name: _to_json(member, value[name])
            for name, member in shape.members.items()
            if value.get(name) is not None
        }
    if isinstance(shape, ListShape):
        return [_to_json(shape.member, v) for v in value]
    return value.timestamp() if isinstance(value, datetime) else value
