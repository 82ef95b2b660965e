"""Groups of commands whose modules are imported when a command of theirs is asked for, not when the program starts."""

from collections.abc import Callable, MutableMapping
from typing import Any

import typer
from typer.core import TyperGroup


def add_group(app: typer.Typer, name: str, words: str, load: Callable[[], typer.Typer]) -> None:
    """Add the commands of what ``load`` returns to ``app``, as a group called ``name`` that ``words`` describe."""

    class _LateGroup(TyperGroup):
        @property
        def commands(self) -> MutableMapping[str, Any]:
            if "loaded" not in self.__dict__:
                self.__dict__["loaded"] = vars(typer.main.get_group(load()))["commands"]
            loaded: MutableMapping[str, Any] = self.__dict__["loaded"]
            return loaded

        @commands.setter
        def commands(self, none_yet: object) -> None:
            """The base class sets it to the commands it knows: none."""

    app.add_typer(typer.Typer(cls=_LateGroup, no_args_is_help=True, help=words), name=name)
