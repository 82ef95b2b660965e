"""Why a message could not be read, as quarantine groups them."""

NO_REPORT, PARTLY_READ, FOREIGN_DOMAIN, KILLED_READER = "no-report", "partly-read", "foreign-domain", "killed-reader"
# People write to postmaster, whom RFC 5321 section 4.5.1 wants reached: kept apart, for the operator to read.
POSTMASTER = "postmaster"
