"""The HTTP side: metrics, API, pages."""
