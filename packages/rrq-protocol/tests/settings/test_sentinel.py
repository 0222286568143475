"""DSNs that name sentinels."""

import pytest

from rrq_protocol.settings import Secret
from rrq_protocol.settings.secret import mask_url
from rrq_protocol.settings.sentinel import SentinelAddress, parse_sentinel

CANARY = "canary-2f7b"


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        ("redis+sentinel://a/svc", SentinelAddress((("a", 26379),), "svc")),
        ("redis+sentinel://a:1,b:2,[::1]:3,[::2]/svc/4", SentinelAddress(
            (("a", 1), ("b", 2), ("::1", 3), ("::2", 26379)), "svc", 4
        )),
        ("rediss+sentinel://:p%40w@a:1/s%2Fvc/", SentinelAddress(
            (("a", 1),), "s/vc", tls=True, password=Secret("p@w")
        )),
        ("redis+sentinel://u:p@a/svc/0?sentinel_username=x&sentinel_password=y%26", SentinelAddress(
            (("a", 26379),), "svc", username="u", password=Secret("p"), sentinel_username="x",
            sentinel_password=Secret("y&"),
        )),
    ],
)  # fmt: skip
def test_good_ones(dsn: str, expected: SentinelAddress) -> None:
    """Hosts with and without a port, the service, the database, and two kinds of passwords."""
    assert parse_sentinel(dsn) == expected


@pytest.mark.parametrize(
    "dsn",
    [
        f"redis+sentinel://:{CANARY}@a",
        f"redis+sentinel://:{CANARY}@a/",
        f"redis+sentinel://:{CANARY}@/svc",
        f"redis+sentinel://:{CANARY}@a,/svc",
        f"redis+sentinel://:{CANARY}@a:0/svc",
        f"redis+sentinel://:{CANARY}@a:x/svc",
        f"redis+sentinel://:{CANARY}@a:99999/svc",
        f"redis+sentinel://:{CANARY}@a/svc/x",
        f"redis+sentinel://:{CANARY}@a/svc/-1",
        f"redis+sentinel://a/svc?password={CANARY}",
        f"redis+sentinel://a/svc?{CANARY}",
    ],
)
def test_bad_ones(dsn: str) -> None:
    """The form is said, and nothing of what was given."""
    with pytest.raises(ValueError, match=r"redis\+sentinel://host:port") as caught:
        parse_sentinel(dsn)
    assert CANARY not in str(caught.value)


def test_passwords_are_masked() -> None:
    """Hosts and service stay, for they are what one looks for."""
    dsn = f"redis+sentinel://me:{CANARY}@a:1,b:2/svc/0?sentinel_password={CANARY}"
    assert mask_url(dsn) == "redis+sentinel://me:***@a:1,b:2/svc/0?***"
    assert CANARY not in repr(parse_sentinel(dsn))
