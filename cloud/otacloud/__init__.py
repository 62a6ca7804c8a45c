"""The service: products, devices, releases, rollouts."""
