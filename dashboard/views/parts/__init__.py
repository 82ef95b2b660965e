"""What several pages show the same way: controls, tables, single values, pictures."""
