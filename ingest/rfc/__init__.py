"""The standards, pure: no network, no files, no database; the standard library and msgspec only.

Bytes come in at ``packing`` (what reports are packed in), go through ``tlsrpt`` (RFC 8460: the mail, the report, its words) and
leave as one Report. ``mtasts`` (RFC 8461) reads policies and says what ``enforce`` would do with a session. ``publication``
writes what a domain publishes, for both.
"""
