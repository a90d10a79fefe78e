"""Names for a made-up city: streets, townships, communities, villages, people, places. No real person is meant."""

from collections.abc import Iterator

import numpy as np

_FIRST = "石黄白青大高梅花水龙凤金杨李松竹柳桂荷清长东南西北上下双三五"
_SECOND = "溪桥塘岭坪冲湾铺井山源田"
_SURNAMES = "李王张刘陈杨黄赵周吴唐蒋何邓肖罗郑谢曾彭胡朱高林郭马梁宋许韩冯"
_GIVEN_PAIRS = (
    "建国秀英志强丽华海燕建军小红国庆春梅永红文杰晓东玉兰立新雪梅世明桂芳志勇丽娟明辉冬生翠英俊杰建华金凤"
    "秋生美玲卫东红梅新民"
)
_GIVEN = (
    *"伟敏静磊洋勇艳军杰娟涛超芳霞平刚燕",
    *map("".join, zip(_GIVEN_PAIRS[::2], _GIVEN_PAIRS[1::2], strict=True)),
)
WORK_PLACES = ("社区服务站", "网格工作站", "村委会", "警务室", "综治中心")
CHECKPOINTS = ("小学", "卫生室", "集市", "公交站", "文化广场", "水库", "养老院", "加油站", "幼儿园", "变电站")
COMPONENTS = (
    ("路灯", "cg", 0.28), ("井盖", "zj", 0.24), ("行道树", "yl", 0.16), ("垃圾箱", "cg", 0.10),
    ("交通标志牌", "jj", 0.08), ("消火栓", "xf", 0.05), ("公交站牌", "jt", 0.04), ("电力箱", "dl", 0.03),
    ("监控杆", "ga", 0.02),
)  # fmt: skip
"""(kind, department, share)."""
DEPARTMENTS = (
    ("cg", "城市管理和综合执法局"), ("zj", "住房和城乡建设局"), ("yl", "园林绿化中心"), ("jj", "交警支队"),
    ("xf", "消防救援支队"), ("jt", "交通运输局"), ("dl", "供电公司"), ("ga", "公安局"), ("sc", "市场监督管理局"),
    ("sw", "税务局"), ("sy", "食品药品监督所"),
)  # fmt: skip


def place_names(rng: np.random.Generator) -> Iterator[str]:
    """Two-character names of places in random order; they repeat with a third character after 360."""
    names = [first + second for first in _FIRST for second in _SECOND]
    suffix = ""
    while True:
        for i in rng.permutation(len(names)):
            yield names[i] + suffix
        suffix = _SECOND[int(rng.integers(len(_SECOND)))]


def person_name(rng: np.random.Generator) -> str:
    """Surname and given name."""
    surname, given = int(rng.integers(len(_SURNAMES))), int(rng.integers(len(_GIVEN)))
    return f"{_SURNAMES[surname]}{_GIVEN[given]}"
