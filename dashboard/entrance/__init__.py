"""What stands around the pages: who may enter, only same-origin requests, a strict browser, log-in and log-out."""
