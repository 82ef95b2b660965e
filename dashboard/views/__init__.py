"""One module for each page, with a ``render(visit)``: it asks ``queries`` and puts the answer on the screen."""
