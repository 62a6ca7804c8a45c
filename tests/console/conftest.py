"""The pages are tested on the same service as the API."""

from tests.cloud.conftest import clock, empty, engine, no_fsync, service

__all__ = ["clock", "empty", "engine", "no_fsync", "service"]
