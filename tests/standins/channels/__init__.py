"""Stand-ins of what channels talk to: real servers with their vendor's rules, limits and faults."""
