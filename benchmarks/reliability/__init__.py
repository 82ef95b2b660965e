"""The promises of the receiver, one module each: ``python -m benchmarks.reliability.NAME [--long]`` prints the figures.

``make reliability`` runs all of them one after the other. Everything is real processes, sockets and databases on loopback,
in a temporary folder; each module ends with exit code 1 when a promise does not hold. See docs/reliability.md.
"""
