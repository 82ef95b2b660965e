"""Schema changes, one file each, for SQLite and PostgreSQL alike."""
