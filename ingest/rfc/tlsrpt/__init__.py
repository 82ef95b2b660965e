"""RFC 8460, pure: the report mail, the report, its vocabulary and the DNS record. No database, no network, no framework."""
