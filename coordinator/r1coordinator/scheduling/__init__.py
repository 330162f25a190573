"""Jobs, rounds, leases: who does what next. The rules are pure functions; `scheduler` applies them to the rows."""
