"""Rubbish as a broken camera sends it: in packets, between packets, in answers."""

from collections.abc import Sequence
from random import Random


def spoiled_packets(data: bytearray, offsets: Sequence[int], random: Random) -> bytes:
    """The framed packets with something wrong: random payload, wrong length, lost framing, packets of nobody."""
    offset = random.choice(offsets)
    dice = random.random()
    if dice < 0.5:
        begin = offset + 16
        data[begin : begin + 12] = random.randbytes(min(12, len(data) - begin))
    elif dice < 0.7:
        data[offset + 6 : offset + 16] = random.randbytes(10)
    elif dice < 0.8:
        return bytes(data) + b"$" + bytes([random.randrange(4, 256), 0, 40]) + random.randbytes(40)
    elif dice < 0.9:
        data[offset + 2 : offset + 4] = random.randbytes(2)
    else:
        return bytes(data) + random.randbytes(random.randrange(1, 400))
    return bytes(data)


def spoiled_text(data: bytes, random: Random) -> bytes:
    """An RTSP answer with something wrong: bytes changed, cut short, a false length, or nothing but noise."""
    dice = random.random()
    if dice < 0.3:
        return random.randbytes(random.randrange(1, 300))
    if dice < 0.5:
        return data[: random.randrange(1, len(data))]
    if dice < 0.6:
        return data.replace(b"Content-Length: ", b"Content-Length: 9")
    spoiled = bytearray(data)
    for _ in range(random.randrange(1, 20)):
        spoiled[random.randrange(len(spoiled))] = random.randrange(256)
    return bytes(spoiled)
