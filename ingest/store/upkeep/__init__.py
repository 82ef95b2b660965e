"""What happens to a database as time goes: upgrades, retention, and what a wrong clock has left."""
