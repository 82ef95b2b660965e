"""The reading side: from rows to decisions. It only reads, and never touches the network."""
