"""What people call the parts of the service: Chinese and English, by the name that status and metrics use."""

PART_NAMES: dict[str, tuple[str, str]] = {
    "alerts.engine": ("规则引擎", "rules"),
    "console.audit": ("审计封存", "audit seal"),
    "console.live": ("实时推送", "live changes"),
    "demo.cameras": ("演示摄像机", "simulated cameras"),
    "demo.devices": ("演示设备", "simulated devices"),
    "demo.events": ("演示事件", "first events of the demo"),
    "demo.history": ("演示历史", "the demo's past"),
    "http": ("网页与接口", "page and API"),
    "ingest.broker": ("外部消息代理", "foreign broker"),
    "ingest.heartbeat": ("接入心跳", "heartbeat of ingestion"),
    "ingest.lane.aside": ("隔离写入", "quarantine lane"),
    "ingest.lane.backfill": ("补报写入", "back-fill lane"),
    "ingest.lane.live": ("实时写入", "live lane"),
    "ingest.lane.urgent": ("紧急写入", "urgent lane"),
    "ingest.mqtt": ("MQTT 接入", "MQTT listener"),
    "ingest.presence": ("在线状态", "presence"),
    "ingest.security": ("凭证记录", "security facts"),
    "rates": ("速率统计", "rates"),
    "registry": ("设备台账", "registry"),
    "store": ("数据库", "store"),
    "store.metrics": ("数据库指标", "metrics of the store"),
    "store.upkeep": ("数据维护", "upkeep of the store"),
}
_WORKER = "streams.worker."


def part_name(part: str) -> tuple[str, str]:
    """Chinese and English; a part without a name is called as status and metrics call it."""
    if part.startswith(_WORKER):
        return f"摄像机工作进程 {part.removeprefix(_WORKER)}", "camera worker"
    return PART_NAMES.get(part, (part, ""))
