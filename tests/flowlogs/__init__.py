"""Tests of exporter/flowlogs."""
