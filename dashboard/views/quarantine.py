"""Messages that could not be read: why, what they hold, and what is done with them."""

import pandas as pd
import streamlit as st

from dashboard.queries import quarantine as queries
from dashboard.views.parts import controls, tables, texts
from dashboard.words import wording
from dashboard.words.plain import plain, visible
from ingest.store import quarantine, quarantine_bounds

from . import acts
from .visit import Visit

_ON_A_PAGE = 50
_STATES = {queries.WAITING: "Waiting", queries.DISCARDED: "Discarded"}
_STATE_WORDS = _STATES | {quarantine.RETRYING: "Waits to be read again"}
_LONGEST_NOTE = 500
_LOOK_SECONDS = 2
_DONE = "what was done in quarantine"


def render(visit: Visit) -> None:
    """Show the list, or (``?message=``) one message."""
    _say_what_was_done()
    if "message" in st.query_params:
        _message(visit, st.query_params["message"])
        return
    st.title("Quarantine")
    st.text("What came and could not be read, whole. After an upgrade it can be read again.")
    _say_what_gave_way(visit)
    state = controls.choice("State", "state", _STATES, queries.WAITING)
    retrying = visit.now(queries.count_retrying)
    if retrying:
        _progress(visit)
    reasons = visit.read(queries.reasons, state)
    if reasons.empty:
        st.success(
            "Nothing here: every message that came could be read."
            if state == queries.WAITING
            else "Nothing was discarded."
        )
        return
    reason = _reason(reasons)
    if state == queries.WAITING and acts.allowed(visit) and not retrying:
        _retry_all(visit, reason, reasons)
    _list(visit, state, reason)


@st.fragment(run_every=_LOOK_SECONDS)
def _progress(visit: Visit) -> None:
    """How many the worker still has to read; the page is drawn anew when there are none."""
    left = visit.now(queries.count_retrying)
    if not left:
        st.cache_data.clear()
        st.rerun()
    words = "message waits" if left == 1 else "messages wait"
    st.info(
        f"{left:,} {words} to be read again. The worker does it; if this number stays, see whether it runs.",
        icon=":material/hourglass_top:",
    )


def _retry_all(visit: Visit, reason: str, reasons: pd.DataFrame) -> None:
    chosen = reasons if not reason else reasons[reasons["reason"] == reason]
    count = int(chosen["messages"].sum())
    words = "Read it again" if count == 1 else f"Read all {count:,} again"
    help_text = "After an upgrade, or a change of settings. What can be read then is stored and leaves quarantine."
    if st.button(words, icon=":material/refresh:", help=help_text):
        changed = acts.act(visit, lambda engine, who, now: quarantine.ask_retry_of(engine, reason, who, now))
        _done(changed, "{} to be read again")


def _done(changed: int | None, what: str) -> None:
    """Draw the page anew with a word about what was done; nothing when it was not."""
    if changed is not None:
        st.session_state[_DONE] = what.format(f"{changed:,} {'message' if changed == 1 else 'messages'}")
        st.rerun()


def _say_what_was_done() -> None:
    if words := st.session_state.pop(_DONE, ""):
        st.toast(words)


def _say_what_gave_way(visit: Visit) -> None:
    """Quarantine is bounded, so that strangers cannot fill the disk; what that cost is counted."""
    for row in visit.read(queries.lost).to_dict("records"):
        words = "message" if row["messages"] == 1 else "messages"
        st.info(
            f"{row['messages']:,} {words} ({wording.size(int(row['bytes']))}) gave way, because "
            f"{quarantine_bounds.WORDS.get(row['bound'], plain(row['bound']))}. They could not be read "
            f"({wording.quarantine_reason(row['reason'])}); the last one gave way at {texts.instant(row['last_at'])}.",
            icon=":material/compress:",
        )


def _reason(reasons: pd.DataFrame) -> str:
    """The groups, with how many messages each has and when they came, and which of them is chosen."""
    if len(reasons) > 1:
        table = reasons.assign(words=reasons["reason"].map(wording.QUARANTINE_REASONS).fillna(reasons["reason"]))
        columns = {
            "words": tables.text_column("Reason"),
            "messages": tables.count_column("Messages"),
            "oldest": tables.instant_column("Oldest (UTC)"),
            "newest": tables.instant_column("Newest (UTC)"),
        }
        tables.table(table, columns, "Reasons")
    names = {"all": f"All ({reasons['messages'].sum():,})"}
    for row in reasons.to_dict("records"):
        names[row["reason"]] = f"{wording.quarantine_reason(row['reason'])} ({row['messages']:,})"
    if len(reasons) == 1:
        return ""
    chosen = controls.choice("Reason", "reason", names, "all")
    return "" if chosen == "all" else chosen


def _list(visit: Visit, state: str, reason: str) -> None:
    count = visit.read(queries.count_messages, state, reason)
    offset = controls.page_of(count, _ON_A_PAGE, "page")
    rows = visit.read(queries.list_messages, state, reason, limit=_ON_A_PAGE, offset=offset)
    table = rows.assign(
        reason=rows["reason"].map(wording.QUARANTINE_REASONS).fillna(rows["reason"]),
        door=rows["door"].map(wording.DOORS).fillna(rows["door"]),
        state=rows["state"].map(_STATE_WORDS) if (rows["state"] == quarantine.RETRYING).any() else "",
        bytes=[wording.size(size) for size in rows["size"]],
    )
    columns = {
        "received_at": tables.instant_column("Arrived (UTC)"),
        "reason": tables.text_column("Reason"),
        "explanation": tables.text_column("Explanation", width="large"),
        "sender": tables.text_column("Sender"),
        "subject": tables.text_column("Subject"),
        "file_name": tables.text_column("File"),
        "bytes": tables.text_column("Size"),
        "door": tables.text_column("Came by"),
        "note": tables.text_column("Note"),
        "state": tables.text_column("State"),
        "acted_by": tables.text_column("By"),
    }
    columns = {name: column for name, column in columns.items() if (table[name].astype("str").fillna("") != "").any()}
    chosen = tables.clickable_table(table, columns, "Quarantined messages", "quarantined")
    if chosen is not None:
        visit.go("quarantine", message=rows["message_digest"].iloc[chosen])
    st.caption("Click on a row to look into a message. On the command line: `starttally quarantine list`.")


def _message(visit: Visit, digest: str) -> None:
    visit.link("quarantine", "Quarantine", icon=":material/arrow_back:")
    messages = visit.read(queries.one_message, digest)
    if messages.empty:
        st.title("No such message")
        st.text("It may have been read by a retry, or is older than quarantined messages are kept.")
        return
    message = messages.iloc[0]
    st.title(f"Quarantined: {wording.quarantine_reason(message['reason'])}")
    st.text(visible(message["explanation"]))
    names = {
        "Arrived": texts.instant(message["received_at"]),
        "Sender": message["sender"],
        "Subject": message["subject"],
        "File": message["file_name"] if isinstance(message["file_name"], str) else "",
        "Size": wording.size(int(message["size"])),
        "Came by": wording.DOORS.get(message["door"], message["door"]),
        "State": _STATE_WORDS.get(message["state"], plain(message["state"])),
        "Note": message["note"],
        "Last act by": message["acted_by"],
        "Last act": "" if pd.isna(message["acted_at"]) else texts.instant(message["acted_at"]),
        "Message digest": message["message_digest"],
    }
    texts.facts((name, value) for name, value in names.items() if value)
    if acts.allowed(visit):
        _acts(visit, digest, message["state"])
    _content(visit, message)


def _acts(visit: Visit, digest: str, state: str) -> None:
    if state == queries.DISCARDED:
        return
    with st.container(horizontal=True):
        if state == quarantine.RETRYING:
            _progress(visit)
        elif st.button("Read again", icon=":material/refresh:"):
            _done(acts.act(visit, lambda *by: quarantine.ask_retry(by[0], [digest], *by[1:])), "{} to be read again")
        with st.popover("Discard", icon=":material/delete:"):
            note = st.text_input("Note", max_chars=_LONGEST_NOTE, placeholder="Why; kept with the message", key="note")
            st.caption(
                "Its content is deleted at once and cannot be brought back. In doubt download the original first."
            )
            if st.button("Discard this message", type="primary"):
                change = acts.act(visit, lambda *by: quarantine.discard(by[0], [digest], note, *by[1:]))
                _done(change, "{} discarded")


def _content(visit: Visit, message: pd.Series) -> None:
    digest, is_mail = message["message_digest"], not isinstance(message["file_name"], str)
    st.subheader("As it came")
    if message["state"] == queries.DISCARDED:
        st.text("Its content was deleted when it was discarded.")
        return
    content = visit.now(queries.content, digest, longest=4 * texts.LONGEST_RAW)
    texts.raw_text(content or b"", int(message["size"]))
    st.download_button(
        "Download the original",
        data=lambda: visit.now(queries.content, digest) or b"",
        # Its own name is a stranger's text.
        file_name=f"quarantined-{digest}.{'eml' if is_mail else 'bin'}",
        mime=visit.media_type("application/octet-stream"),
        icon=":material/download:",
        on_click="ignore",
    )
