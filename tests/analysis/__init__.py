"""Each check on small estates, and the evaluation of rules against a second one."""
