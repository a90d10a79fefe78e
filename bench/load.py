"""The load generator in a process of its own. Run as `python -m bench.load PORT CREDENTIALS MESSAGES WINDOW ARRAY`.

CREDENTIALS is a file with one `device token` a line. Prints the generator's report as JSON.
"""

import subprocess
import sys
import time
from pathlib import Path

import msgspec
import uvloop

from core.errors import WanggeError
from simulators.load import LoadReport, load


def run_load(port: int, credentials: Path, *, messages: int, window: int, array: int, base_ms: int) -> LoadReport:
    """Runs it to its end and returns its report. Raises WanggeError when it fails."""
    command = [sys.executable, "-m", "bench.load", str(port), str(credentials)]
    numbers = [str(number) for number in (messages, window, array, base_ms)]
    done = subprocess.run(command + numbers, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise WanggeError(f"the load generator failed: {done.stderr.strip().splitlines()[-1:]}")
    return msgspec.json.decode(done.stdout, type=LoadReport)


def main(port: int, credentials: Path, messages: int, window: int, array: int, base_ms: int) -> None:
    """Publishes and prints."""
    pairs = [(device, token) for device, token in map(str.split, credentials.read_text(encoding="utf-8").splitlines())]
    work = load("127.0.0.1", port, pairs, messages=messages, window=window, array=array, base_ms=base_ms)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(work)))


def recent_ms(messages: int, connections: int) -> int:
    """A first fix time such that a device's millisecond steps all lie in the last minutes."""
    return int(time.time() * 1000) - messages // connections - 1000


if __name__ == "__main__":
    numbers = [int(text) for text in sys.argv[3:]]
    main(int(sys.argv[1]), Path(sys.argv[2]), numbers[0], numbers[1], numbers[2], numbers[3])
