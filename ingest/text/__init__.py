"""Text that crosses a border: what people type becomes a value, and what is written gives nothing away.

Days and shares are read one way wherever somebody types one. What goes to a log or a terminal passes ``plaintext`` (strangers'
text does nothing there) and ``confidential`` (no password is ever written).
"""
