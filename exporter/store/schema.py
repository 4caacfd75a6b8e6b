"""The tables, and how an older store becomes a current one.

Times of records are whole seconds since the epoch; those of what is remembered by identity are in
milliseconds, as CloudWatch Logs stamps its events.
"""

from __future__ import annotations

# What each version adds to the one before.
_FIRST = """
CREATE TABLE counter (
  account TEXT NOT NULL, region TEXT NOT NULL,
  subject TEXT NOT NULL,            -- an endpoint, a flow log, an event
  name TEXT NOT NULL,               -- what is counted
  label TEXT NOT NULL,              -- the action, the line's fate, the outcome
  value NUMERIC NOT NULL,
  PRIMARY KEY (account, region, subject, name, label)
) WITHOUT ROWID;
CREATE TABLE flow_log (
  account TEXT NOT NULL, region TEXT NOT NULL, flow_log_id TEXT NOT NULL,
  first_seen REAL NOT NULL,         -- records that start earlier are not counted
  newest_record REAL,               -- the latest end of a record
  PRIMARY KEY (account, region, flow_log_id)
) WITHOUT ROWID;
CREATE TABLE source (
  id INTEGER PRIMARY KEY,
  account TEXT NOT NULL, region TEXT NOT NULL,
  kind TEXT NOT NULL,               -- cloudwatch, s3, insights, athena
  name TEXT NOT NULL,               -- the log group, the flow log
  read_to REAL,                     -- every record delivered by then is accounted for
  forgotten INTEGER NOT NULL DEFAULT 0,  -- what is earlier is not in `seen` or `object` any more
  UNIQUE (account, region, kind, name)
);
CREATE TABLE seen (
  source INTEGER NOT NULL REFERENCES source (id),
  start INTEGER NOT NULL,
  identity BLOB NOT NULL,
  PRIMARY KEY (source, start, identity)
) WITHOUT ROWID;
CREATE TABLE interface (
  account TEXT NOT NULL, region TEXT NOT NULL, interface_id TEXT NOT NULL,
  endpoint_id TEXT NOT NULL,
  last_listed REAL NOT NULL,
  PRIMARY KEY (account, region, interface_id)
) WITHOUT ROWID;
CREATE TABLE choice (
  account TEXT NOT NULL, region TEXT NOT NULL, interface_id TEXT NOT NULL,
  action TEXT NOT NULL,
  since REAL NOT NULL,              -- records that start from here on count from this flow log
  flow_log_id TEXT NOT NULL,
  PRIMARY KEY (account, region, interface_id, action, since)
) WITHOUT ROWID
"""
_SECOND = """
ALTER TABLE interface ADD COLUMN vpc_id TEXT NOT NULL DEFAULT '';
ALTER TABLE interface ADD COLUMN subnet_id TEXT NOT NULL DEFAULT '';
ALTER TABLE interface ADD COLUMN addresses TEXT NOT NULL DEFAULT '';
ALTER TABLE interface ADD COLUMN born REAL NOT NULL DEFAULT 0;
ALTER TABLE choice RENAME COLUMN interface_id TO resource;
ALTER TABLE choice RENAME COLUMN flow_log_id TO speaker;
CREATE TABLE object (               -- files that are accounted for
  source INTEGER NOT NULL REFERENCES source (id),
  start INTEGER NOT NULL,           -- the slot that the key names
  identity BLOB NOT NULL,
  etag TEXT NOT NULL,
  PRIMARY KEY (source, start, identity)
) WITHOUT ROWID;
CREATE TABLE bin (                  -- what a query said last of a minute of an interface
  source INTEGER NOT NULL REFERENCES source (id),
  minute INTEGER NOT NULL,
  interface_id TEXT NOT NULL,
  action TEXT NOT NULL,
  records INTEGER NOT NULL, bytes INTEGER, packets INTEGER, refused INTEGER,
  PRIMARY KEY (source, minute, interface_id, action)
) WITHOUT ROWID;
CREATE TABLE recent (               -- rejected records, by the minute in which they ended
  account TEXT NOT NULL, region TEXT NOT NULL, endpoint_id TEXT NOT NULL,
  minute INTEGER NOT NULL, protocol INTEGER NOT NULL, port INTEGER NOT NULL,
  value INTEGER NOT NULL,
  PRIMARY KEY (account, region, endpoint_id, minute, protocol, port)
) WITHOUT ROWID;
CREATE TABLE accepted (             -- ports that have accepted
  account TEXT NOT NULL, region TEXT NOT NULL, endpoint_id TEXT NOT NULL,
  protocol INTEGER NOT NULL, port INTEGER NOT NULL,
  PRIMARY KEY (account, region, endpoint_id, protocol, port)
) WITHOUT ROWID;
CREATE TABLE rejected (             -- who was rejected, by endpoint and quarter of an hour
  account TEXT NOT NULL, region TEXT NOT NULL, endpoint_id TEXT NOT NULL,
  bucket INTEGER NOT NULL, sketch TEXT NOT NULL,
  PRIMARY KEY (account, region, endpoint_id, bucket)
) WITHOUT ROWID;
CREATE TABLE cost (                 -- an estimate, by UTC day
  aws_service TEXT NOT NULL, operation TEXT NOT NULL, day TEXT NOT NULL,
  dollars REAL NOT NULL,
  PRIMARY KEY (aws_service, operation, day)
) WITHOUT ROWID
"""
VERSIONS = tuple(tuple(part.split(";\n")) for part in (_FIRST, _SECOND))
VERSION = len(VERSIONS)
