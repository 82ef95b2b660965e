"""RFC 8461, pure: policy texts, and what ``enforce`` would do with a session. No database, no network, no framework."""
