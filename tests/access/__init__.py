"""Tests of the permissions: the table of operations, the report, the policies."""
