"""Messages that could not be read: why, and what they hold."""

import pandas as pd
import streamlit as st

from .. import wording
from ..plain import plain, visible
from ..queries import quarantine as queries
from . import parts
from .visit import Visit

_ON_A_PAGE = 50
_STATES = {queries.WAITING: "Waiting", queries.DISCARDED: "Discarded"}


def render(visit: Visit) -> None:
    """Show the list, or (``?message=``) one message."""
    if "message" in st.query_params:
        _message(visit, st.query_params["message"])
        return
    st.title("Quarantine")
    st.text("What came and could not be read, whole. Nothing is lost: after an upgrade it can be read again.")
    state = parts.choice("State", "state", _STATES, queries.WAITING)
    reasons = visit.read(queries.reasons, state)
    if reasons.empty:
        st.success(
            "Nothing here: every message that came could be read."
            if state == queries.WAITING
            else "Nothing was discarded."
        )
        return
    _list(visit, state, _reason(reasons))


def _reason(reasons: pd.DataFrame) -> str:
    names = {"all": f"All ({reasons['messages'].sum():,})"}
    for row in reasons.to_dict("records"):
        names[row["reason"]] = f"{wording.quarantine_reason(row['reason'])} ({row['messages']:,})"
    if len(reasons) == 1:
        return ""
    chosen = parts.choice("Reason", "reason", names, "all")
    return "" if chosen == "all" else chosen


def _list(visit: Visit, state: str, reason: str) -> None:
    count = visit.read(queries.count_messages, state, reason)
    offset = parts.page_of(count, _ON_A_PAGE, "page")
    rows = visit.read(queries.list_messages, state, reason, limit=_ON_A_PAGE, offset=offset)
    shown = rows.assign(
        reason=rows["reason"].map(wording.QUARANTINE_REASONS).fillna(rows["reason"]),
        door=rows["door"].map(wording.DOORS).fillna(rows["door"]),
        bytes=[wording.size(size) for size in rows["size"]],
    )
    columns = {
        "received_at": parts.instant_column("Arrived (UTC)"),
        "reason": parts.text_column("Reason"),
        "explanation": parts.text_column("Explanation", width="large"),
        "sender": parts.text_column("Sender"),
        "subject": parts.text_column("Subject"),
        "file_name": parts.text_column("File"),
        "bytes": parts.text_column("Size"),
        "door": parts.text_column("Came by"),
        "note": parts.text_column("Note"),
    }
    columns = {name: column for name, column in columns.items() if (shown[name].astype("str").fillna("") != "").any()}
    chosen = parts.clickable_table(shown, columns, "Quarantined messages", "quarantined")
    if chosen is not None:
        visit.go("quarantine", message=rows["message_digest"].iloc[chosen])
    st.caption("Click on a row to look into a message. On the command line: `starttally quarantine list`.")


def _message(visit: Visit, digest: str) -> None:
    visit.link("quarantine", "Quarantine", icon=":material/arrow_back:")
    found = visit.read(queries.one_message, digest)
    if found.empty:
        st.title("No such message")
        st.text("It may have been read by a retry, or is older than quarantined messages are kept.")
        return
    message = found.iloc[0]
    st.title(f"Quarantined: {wording.quarantine_reason(message['reason'])}")
    st.text(visible(message["explanation"]))
    names = {
        "Arrived": parts.instant(message["received_at"]),
        "Sender": message["sender"],
        "Subject": message["subject"],
        "File": message["file_name"] if isinstance(message["file_name"], str) else "",
        "Size": wording.size(int(message["size"])),
        "Came by": wording.DOORS.get(message["door"], message["door"]),
        "State": _STATES.get(message["state"], plain(message["state"])),
        "Note": message["note"],
        "Message digest": message["message_digest"],
    }
    parts.facts((name, value) for name, value in names.items() if value)
    _content(visit, message)


def _content(visit: Visit, message: pd.Series) -> None:
    digest, is_mail = message["message_digest"], not isinstance(message["file_name"], str)
    st.subheader("As it came")
    content = visit.now(queries.content, digest, longest=4 * parts.LONGEST_RAW)
    parts.raw_text(content or b"", int(message["size"]))
    st.download_button(
        "Download the original",
        data=lambda: visit.now(queries.content, digest) or b"",
        # Its own name is a stranger's text.
        file_name=f"quarantined-{digest}.{'eml' if is_mail else 'bin'}",
        mime="application/octet-stream",
        icon=":material/download:",
        on_click="ignore",
    )
