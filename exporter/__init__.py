"""PrivateLink Exporter: watches AWS PrivateLink and gives what it knows to Prometheus."""

__version__ = "0.1.0"
