"""The writing side: from the wire to rows.

A report travels through these modules in this order::

    smtp / http / mailbox   a door takes the bytes and answers only when they are safe
    spool                   one file a message, synced; the only queue
    worker                  claims batches, survives what kills it
    intake                  extract -> decode -> authenticate -> Submission
    store                   rows, written so that writing twice is a no-op
"""
