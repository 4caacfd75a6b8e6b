"""``python -m exporter`` is ``privatelink-exporter``."""

from exporter.cli import main

if __name__ == "__main__":
    main()
