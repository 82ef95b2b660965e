"""The worker: from the spool into the database, batch by batch, and never stopped by one message.

``worker`` claims a batch, reads each message (``intake``), writes all in one transaction and removes the files. Whose fault a
failure is says ``blame``: a message's own, or nobody's (``outage``). ``second_looks`` come back to mails whose key DNS owed.
"""
