"""The tables (``models``), the connections to them (``engines``), SQLite and PostgreSQL alike, and their places on Citus
(``distribution``).

What both engines spell differently stands here, and nowhere else.
"""
