"""Plain words for what the reading side knows as codes: the same on a page, on the command line and in an export. Pure."""
