"""Tests of exporter/aws."""
