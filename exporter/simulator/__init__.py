"""A simulated AWS organisation, a process of its own; needs the extra `demo`."""
