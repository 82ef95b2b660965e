"""Reports and report mails without any departure from RFC 8460, read in one go.

They are nearly all there are. What departs is left to the tolerant readers one folder up, and both read the same from what both
can read: ``tests/ingest/rfc/tlsrpt/test_usual.py`` and the fuzz target ``usual`` compare them.
"""
