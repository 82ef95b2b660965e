"""Before a message is read again its row is marked, as if that had ended its reader; the end of the reading says otherwise.

When the database goes away in between, the mark stays, and nothing has ended. Then its removal is owed.
"""

import sqlalchemy as sa


class Owed:
    """Updates that let rows say again what they said before they were marked."""

    def __init__(self) -> None:
        self._updates: list[sa.Update] = []

    def owe(self, *updates: sa.Update) -> None:
        """For the next time that the database can be written to."""
        self._updates += updates

    def pay(self, engine: sa.Engine) -> None:
        """Make them, all or none. Raises SQLAlchemyError; they are owed still."""
        if not self._updates:
            return
        with engine.begin() as connection:
            for update in self._updates:
                connection.execute(update)
        self._updates.clear()
