"""Where flow-log lines come from."""
