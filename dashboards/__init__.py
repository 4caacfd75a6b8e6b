"""Grafana dashboards and alert rules; none yet."""
