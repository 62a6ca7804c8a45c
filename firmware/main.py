"""Started after boot.py. Everything is in the agent."""

from otaagent import boot

boot.run("app")
