"""A whole network on one machine: Anvil, contracts, coordinator and nodes, each a real process."""
