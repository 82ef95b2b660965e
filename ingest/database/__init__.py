"""The tables (``models``) and the connections to them (``engines``), SQLite and PostgreSQL alike.

What both engines spell differently stands here, and nowhere else.
"""
