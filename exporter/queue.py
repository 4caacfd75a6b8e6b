"""Notifications of new files, from an SQS queue to the account and Region whose flow log it is.

A message is deleted once everything that it names is committed: what fails comes again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from exporter.aws import queues
from exporter.aws.errors import AWS_ERRORS, MALFORMED_ANSWER, unavailable
from exporter.aws.session import Aws
from exporter.config import Account, Archive
from exporter.flowlogs import attribute
from exporter.flowlogs.attribute import Index
from exporter.flowlogs.ingest import Ingest, Report
from exporter.flowlogs.sources import s3, sqs
from exporter.flowlogs.sources.s3 import Object
from exporter.flowlogs.sources.sqs import Message
from exporter.model import Inventory, Scope
from exporter.publisher import Publisher
from exporter.schedule import Threads
from exporter.store import StoreError

log = structlog.get_logger()

# What belongs to the buckets' account, where that is another one.
_OF_THE_ARCHIVE = frozenset(["s3", "athena"])


@dataclass(frozen=True, slots=True)
class FlowLogClients:
    """The clients that the flow logs of an account and Region are read with."""

    aws: Aws
    scope: Scope
    archive: Archive | None = None

    def __call__(self, service: str) -> Any:
        """Return the client; raises what boto3 raises."""
        if self.archive is None or service not in _OF_THE_ARCHIVE:
            return self.aws.client(self.scope, service)
        account = Account(
            role_arn=self.archive.role_arn,
            external_id=self.archive.external_id,
            regions=(self.scope.region,),
        )
        return self.aws.other_client(Scope(account.id or "", self.scope.region), account, service)


@dataclass(frozen=True, slots=True)
class FlowLogs:
    """How the flow logs of an account and Region are read."""

    ingest: Ingest
    clients: FlowLogClients


@dataclass(slots=True)
class Queue:
    """One queue: read until it is empty or time is up. `interval` in seconds.

    `readers` are by account and Region, as they come and go.
    """

    url: str
    interval: float
    aws: Aws
    threads: Threads
    readers: Mapping[Scope, FlowLogs]
    publisher: Publisher
    _indexes: dict[Scope, tuple[Inventory, Index | None]] = field(default_factory=dict)

    async def read(self) -> Mapping[str, str]:
        """Read the queue; return the problems."""
        key = ("flow_logs", Scope("", ""), self.url)
        problems, reports = await self.threads.run(key, self._drain)
        for scope, report in reports.items():
            self.publisher.put_report(scope, report)
        return problems

    def _drain(self) -> tuple[Mapping[str, str], Mapping[Scope, Report]]:
        problems: dict[str, str] = {}
        reports: dict[Scope, Report] = {}
        deadline = time.monotonic() + max(self.interval, 10.0)
        # Long enough to count what comes at a time; then whoever died with it has it no longer.
        hidden = min(max(10.0, 4 * self.interval), 600.0)
        client = queues.client(self.aws, self.url)
        began = time.time()
        while time.monotonic() < deadline:
            messages = sqs.receive(client, self.url, hidden)
            if not messages:
                for scope, reader in list(self.readers.items()):
                    reader.ingest.drained(began)
                    if scope in reports:
                        reports[scope] = reader.ingest.committed()
                break
            receipts = self._handle(messages, problems, reports)
            for failure in queues.delete(client, self.url, receipts):
                problems["delete"] = failure
            if not receipts:
                break  # what is left has to wait; it would only come again
        return problems, reports

    def _handle(
        self, messages: list[Message], problems: dict[str, str], reports: dict[Scope, Report]
    ) -> list[str]:
        """Count what messages name; return the receipts of those that are done with."""
        wanted: dict[Scope, dict[str, Object]] = {}
        waits: set[str] = set()
        for message in messages:
            if message.problem:
                log.warning("a message that names no file", queue=self.url, reason=message.problem)
            for named in message.files:
                file = s3.object_of(named.bucket, named.key)
                reader = self.readers.get(file.scope) if file else None
                if file is None or reader is None:
                    continue  # not a flow log, or of nobody who is watched: not ours to open
                expected = self._expected(reader, file)
                if expected is None:
                    waits.add(named.key)
                elif expected:
                    wanted.setdefault(file.scope, {})[file.key] = file
        done: set[str] = set()
        for scope, files in wanted.items():
            try:
                done |= self._count(scope, list(files.values()))
                reports[scope] = self.readers[scope].ingest.committed()
            except (*AWS_ERRORS, *MALFORMED_ANSWER, StoreError) as error:
                problems[f"{scope.account} {scope.region}"] = unavailable(error).reason
        asked = {key for files in wanted.values() for key in files}
        left = waits | (asked - done)
        return [m.receipt for m in messages if not any(n.key in left for n in m.files)]

    def _expected(self, reader: FlowLogs, file: Object) -> bool | None:
        """Whether a file is one that is read here; None while that cannot be known."""
        index = self._index(file.scope)
        if index is None:
            return None
        if reader.ingest.expects(index, file):
            return True
        # A flow log that is newer than the listing is still to be found.
        young = file.stamp + 2 * s3.SLOT > index.as_of
        return None if young and file.flow_log_id not in index.flow_logs else False

    def _index(self, scope: Scope) -> Index | None:
        """Return who owns what in a scope; made once for each inventory."""
        inventory = self.publisher.inventory(scope)
        if inventory is None:
            return None
        known = self._indexes.get(scope)
        if known is None or known[0] is not inventory:
            allowed = self.readers[scope].ingest.settings.allowed
            known = self._indexes[scope] = (inventory, attribute.index(inventory, allowed))
        return known[1]

    def _count(self, scope: Scope, files: list[Object]) -> set[str]:
        reader, index = self.readers[scope], self._index(scope)
        if index is None:
            return set()
        return reader.ingest.notified(reader.clients, index, files)
