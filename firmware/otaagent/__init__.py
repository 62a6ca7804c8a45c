"""The agent: fetches, rebuilds, verifies, arms and confirms an update on the board."""
