"""What the doors count (Prometheus). Label values are bounded: reasons are ours, never a peer's words."""

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

registry = CollectorRegistry()

accepted = Counter("starttally_accepted_total", "Messages acknowledged (250 or 201).", ["door"], registry=registry)
accepted_bytes = Counter(
    "starttally_accepted_bytes_total", "Bytes of acknowledged messages.", ["door"], registry=registry
)
refused = Counter(
    "starttally_refused_total", "Connections and messages refused.", ["door", "reason"], registry=registry
)
connections = Gauge("starttally_connections", "Open connections.", ["door"], registry=registry)
backlog = Gauge("starttally_backlog_messages", "Messages in the spool, not stored yet.", registry=registry)
backlog_age = Gauge("starttally_backlog_age_seconds", "Age of the oldest of them.", registry=registry)


def text() -> bytes:
    """The metrics in Prometheus' text format."""
    return generate_latest(registry)
