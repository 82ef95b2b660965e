"""Where messages come in. A door reads a bounded message, syncs it into the spool, and then says 250 or 201.

It does no DNS, no parsing, no database. ``receiving`` runs the doors; who comes in and who leaves when it is full say
``admission``, ``connections`` and ``limits``; our own faults are always "try again later".
"""
