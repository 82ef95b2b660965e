"""How each verdict looks wherever it is shown: its title, sign, icon and colours. Pure; what it says is in ``verdict_words``."""

from collections.abc import Mapping

import msgspec

from dashboard.decision import verdict as rules

# How loud a verdict is told: mail is lost or nobody protected; something is to be done; all is well; it is to be known.
ALARM, WARNING, GOOD, NOTE = "alarm", "warning", "good", "note"

_GREEN, _GREY, _RED = "#3a9d6b", "#9aa5b1", "#d1495b"


class Face(msgspec.Struct, frozen=True):
    """The ``title`` of a verdict and how loud it is. ``sign`` is one character for a table's cell, ``icon`` one of Streamlit's.

    ``colour`` is that of a block in a chart, ``text_colour`` that of its title in a table, "" where it does not stand out:
    text needs other shades than blocks to be read on light and on dark.
    """

    title: str
    tone: str
    sign: str
    icon: str
    colour: str
    text_colour: str = ""


# In the order of a legend, from good to bad.
FACES: Mapping[str, Face] = {
    rules.READY: Face("Ready for enforce", GOOD, "\u2714", "check_circle", _GREEN, _GREEN),
    rules.ENFORCING: Face("Enforcing", GOOD, "\u2714", "verified_user", "#1f6f8b", "#2f8fb0"),
    rules.INSUFFICIENT: Face("Not enough evidence yet", NOTE, "\u2026", "hourglass_empty", _GREY),
    rules.NO_POLICY: Face("No policy", NOTE, "\u25cb", "info", "#c9b458"),
    rules.WITHDRAWN: Face("Withdrawn", NOTE, "\u25cb", "info", "#7d6b91"),
    rules.NOT_READY: Face("Not ready for enforce", WARNING, "\u25b2", "build", "#e3a33b", "#c17a00"),
    rules.POLICY_BROKEN: Face("Policy broken", ALARM, "\u2716", "broken_image", "#b5563c", "#d2603f"),
    rules.ENFORCING_REFUSING: Face("Mail is being refused", ALARM, "\u2716", "block", _RED, _RED),
}
