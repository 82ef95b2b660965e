"""The worker: from the spool into the database, batch by batch, and never stopped by one message.

``worker`` claims a batch, ``reader`` reads it (``intake``, in one of two ``lanes``), and all goes into one transaction; then the
files go. Whose fault a failure is says ``blame``: a message's own, or nobody's (``outage``). ``chores`` come in between, such as
``second_looks`` at mails whose key DNS owed, and ``retrying`` what lies in quarantine.

``load`` and ``quarantine retry`` read with the same ``reader``, each in a child process that is ``limited``.
"""
