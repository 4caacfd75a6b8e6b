"""VPC flow logs: from delivered lines to counters, exactly once."""
