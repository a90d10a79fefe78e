"""Metrics of the room (Prometheus)."""

from prometheus_client import Counter, Gauge, Histogram

FACTS = Counter("wangge_alerts_facts_total", "Facts evaluated by the rules.", ["family", "lane"])
EVENTS = Counter("wangge_alerts_events_total", "Changes of grid events by rules.", ["code", "what"])
RULE_FAILURES = Counter(
    "wangge_alerts_rule_failures_total", "Facts that a rule could not take because of an error in it.", ["code"]
)
STEP_SECONDS = Histogram(
    "wangge_alerts_slice_seconds",
    "Reading, evaluating and committing one slice of facts.",
    ["stage"],
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3),
)
SUBJECTS = Gauge("wangge_alerts_subjects", "Subjects that the rules remember.", ["kind"])
