"""What the service counts, in Prometheus' words; health.py shows it."""

from prometheus_client import CollectorRegistry, Counter


class Metrics:
    """One registry for each service, so that two in one process do not share their counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.package_bytes = Counter(
            "driblet_package_bytes", "Bytes of packages handed to boards or caches.", registry=self.registry
        )
        self.polls = Counter("driblet_polls", "Polls of boards.", registry=self.registry)
        self.reports = Counter(
            "driblet_reports", "Reports of boards, by state.", ["state"], registry=self.registry
        )
        self.throttled = Counter(
            "driblet_throttled",
            "Calls that were one too many for an address, device or tenant.",
            ["whose"],
            registry=self.registry,
        )
        self.notices = Counter(
            "driblet_notices", "Messages by MQTT that told a board to poll.", registry=self.registry
        )
        self.heard = Counter(
            "driblet_heard", "Messages of boards by MQTT, by kind.", ["kind"], registry=self.registry
        )
        self.package_requests = Counter(
            "driblet_package_requests",
            "Requests for packages, by HTTP status.",
            ["status"],
            registry=self.registry,
        )
