"""`driblet demo`: a whole rollout on this machine, with nothing mocked."""
