"""A judge, devices and duties for tests of admission; the present is 2026-11-24T13:30:45Z."""

from devices.records import FOREVER, NEVER, DeviceRecord, Duty
from ingest.judgement import Judge
from ingest.settings import AdmissionSettings
from store.settings import RetentionSettings

NOW_MS = 1_795_527_045_000
KEY = bytes(range(32))
HANDSET = DeviceRecord(7, "hs-7", "handset")
TERMINAL = DeviceRecord(8, "pos-8", "terminal")
ON = Duty(True, True, NEVER, FOREVER)
UNPLANNED = Duty(True, False, NEVER, FOREVER)
OFF = Duty(False, True, NEVER, FOREVER)


def judge(**admission: object) -> Judge:
    return Judge.of(AdmissionSettings.model_validate(admission), RetentionSettings(), KEY)


def always(duty: Duty):
    return lambda _key, _at_ms: duty
