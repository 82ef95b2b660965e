"""A real PostgreSQL for the tests: started once, on a Unix socket and a loopback port, and removed afterwards."""
