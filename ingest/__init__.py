"""The writing side: from the wire to rows.

A report travels through these modules in this order::

    doors     take the bytes and answer only when they are safe; ``loading`` takes files
    spool     one file a message, synced; the only queue
    work      claims batches, survives what kills it
    intake    extract -> decode -> authenticate -> Submission
    store     rows, written so that writing twice is a no-op

Folders are floors, and a lower one never imports a higher one: docs/architecture.md.
"""
