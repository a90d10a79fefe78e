"""Metrics of the room console (Prometheus), names `wangge_…`."""

from prometheus_client import Counter, Gauge, Histogram

HTTP_REQUESTS = Counter(
    "wangge_http_requests_total", "Requests answered by the HTTP server.", ["method", "route", "status"]
)
HTTP_SECONDS = Histogram(
    "wangge_http_seconds",
    "Time until the first byte of an answer, seconds.",
    ["route"],
    buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2, 10),
)
PART_STATE = Gauge("wangge_part_state", "State of each part: 0 ok, 1 degraded, 2 down.", ["part"])
PART_RESTARTS = Gauge("wangge_part_restarts", "How often each part was started again.", ["part"])
LIVE_STREAMS = Gauge("wangge_live_streams", "Live streams (SSE) open now.")
SIGN_INS_REFUSED = Counter(
    "wangge_sign_ins_refused_total", "Sign-ins refused (wrong) or limited (must wait).", ["kind"]
)
