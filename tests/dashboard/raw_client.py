"""A client of the pages without a browser: what Streamlit's server sends to it is kept as bytes, whole.

``buttons`` are the pages' buttons by their label, ``downloads`` the addresses behind those that download something.
"""

import http.client
import socket
from types import TracebackType
from typing import Self

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect


class RawSession:
    """A session over its WebSocket. ``source`` is the loopback address that it comes from, ``session`` one to take up again."""

    def __init__(
        self, port: int, headers: dict[str, str] | None = None, *, source: str = "127.0.0.1", session: str = ""
    ) -> None:
        self.received = b""
        self.session = ""
        self.buttons: dict[str, str] = {}
        self.downloads: dict[str, str] = {}
        self._shown: tuple[str, str] = ("", "")
        connection = socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(source, 0))
        # The place of the token against forged requests is left empty: it comes with a cookie only.
        protocols = ["streamlit", "none", session] if session else ["streamlit"]
        self._connecting = connect(
            f"ws://127.0.0.1:{port}/_stcore/stream",
            sock=connection,
            additional_headers=headers or {},
            subprotocols=protocols,  # type: ignore[arg-type]
            max_size=None,
        )
        self._socket: ClientConnection = self._connecting.__enter__()

    def open(self, page: str = "", query: str = "") -> bytes:
        """Run a page as a browser that opens its address, and return everything that was sent meanwhile."""
        self._shown = page, query
        return self._run()

    def press(self, button: str) -> bytes:
        """The same for a click on a button of the page that was opened last."""
        return self._run(self.buttons[button])

    def _run(self, pressed: str = "") -> bytes:
        asked = BackMsg()
        asked.rerun_script.page_name, asked.rerun_script.query_string = self._shown
        if pressed:
            asked.rerun_script.widget_states.widgets.add(id=pressed, trigger_value=True)
        self._socket.send(asked.SerializeToString())
        return self.until_finished()

    def until_finished(self) -> bytes:
        """Everything that is sent until the run ends."""
        received = b""
        while True:
            data = self._socket.recv(timeout=60)
            assert isinstance(data, bytes)
            received += data
            self.received += data
            message = ForwardMsg.FromString(data)
            if message.WhichOneof("type") == "new_session":
                self.session = message.new_session.initialize.session_id
            element = message.delta.new_element
            if element.WhichOneof("type") == "button":
                self.buttons[element.button.label] = element.button.id
            if element.WhichOneof("type") == "download_button":
                self.downloads[element.download_button.label] = element.download_button.url
            # A run that was ended for the next one (a page that is left at once) is none that the browser waits for.
            if message.WhichOneof("type") == "script_finished" and message.script_finished == 0:
                return received

    def close(self) -> None:
        self._connecting.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def ask(
    port: int,
    path: str,
    headers: list[tuple[str, str]] | None = None,
    *,
    source: str = "127.0.0.1",
    method: str = "GET",
) -> tuple[int, bytes]:
    """Status and body of one request, whose headers are sent exactly as they are given, in order."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20, source_address=(source, 0))
    connection.putrequest(method, path)
    for name, value in headers or []:
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    response = answer.status, answer.read()
    connection.close()
    return response
