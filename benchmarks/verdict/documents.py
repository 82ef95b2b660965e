"""The documents of a simulated world: RFC 8460 section 4.4 as JSON, and how they come."""

import datetime as dt
from typing import Any

import msgspec
import numpy as np

from .worlds import Sender, World

FIRST = dt.date(2026, 1, 5)  # a Monday


class Written(msgspec.Struct, frozen=True):
    """A report as it arrives. ``signer`` is "" when nothing vouches for it; ``door`` is smtp, https or load (a file that the
    operator loads); ``wrong``: a signature was made over other content.
    """

    document: bytes
    received_at: dt.datetime
    signer: str
    door: str = "smtp"
    wrong: bool = False


def moment(hours: float) -> dt.datetime:
    """So many hours after the beginning of the first day."""
    return dt.datetime.combine(FIRST, dt.time(), dt.UTC) + dt.timedelta(hours=hours)


def document(domain: str, sender: Sender, first: int, last: int, entries: list[Any]) -> bytes:
    """A sender's report about the hours ``first`` to before ``last`` since the first day."""
    end = moment(last) if sender.ends_at_midnight else moment(last) - dt.timedelta(seconds=1)
    return written_by(domain, sender.organization, sender.signer, moment(first), end, entries)


def written_by(
    domain: str, organization: str, signer: str, start: dt.datetime, end: dt.datetime, entries: list[Any]
) -> bytes:
    """A report by any organisation and signer."""
    return msgspec.json.encode(
        {
            "organization-name": organization,
            "date-range": {
                "start-datetime": f"{start:%Y-%m-%dT%H:%M:%SZ}",
                "end-datetime": f"{end:%Y-%m-%dT%H:%M:%SZ}",
            },
            "contact-info": f"tls-reports@{signer}",
            "report-id": f"{start:%Y-%m-%dT%H}_{domain}_{organization}",
            "policies": entries,
        }
    )


def rewritten(text: bytes) -> bytes:
    """The same report as a tool writes it anew: members in another order, empty ones added."""
    report = msgspec.json.decode(text)
    report["policies"] = [
        dict(reversed((member | {"failure-details": member.get("failure-details", [])}).items()))
        for member in report["policies"]
    ]
    return msgspec.json.format(msgspec.json.encode(dict(reversed((report | {"comment": ""}).items()))), indent=1)


def entry(policy: dict[str, Any], successful: int, failed: int, details: list[Any]) -> dict[str, Any]:
    """One member of ``policies``."""
    summary = {"total-successful-session-count": successful, "total-failure-session-count": failed}
    return {"policy": policy, "summary": summary} | ({"failure-details": details} if details else {})


def detail(result_type: str, host: str, sessions: int) -> dict[str, Any]:
    """One member of ``failure-details``."""
    return {"result-type": result_type, "receiving-mx-hostname": host, "failed-session-count": sessions}


def dane_entry(world: World, total: int, day: int, rng: np.random.Generator) -> Any:
    """The same sessions once more, under the TLSA records (Microsoft)."""
    fault = world.dane_fault
    failed = int(rng.binomial(total, fault.share)) if fault and fault.first <= day < fault.last else 0
    policy = {"policy-type": "tlsa", "policy-string": ["3 1 1 ABCDEF"], "policy-domain": world.domain}
    rows = [detail("tlsa-invalid", world.hosts[0].name, failed)] if failed else []
    return entry(policy, total - failed, failed, rows)
