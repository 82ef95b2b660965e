"""The HTTP door for ``rua=https:`` (RFC 8460 section 5.4): POST /v1/tlsrpt, with or without a slash at its end.

A 2xx says "stored" (section 5.4), so 201 is sent when the report is on disk in the spool; reading it comes later. Postfix's
default uploader takes any status for delivered, so whatever may be a report is accepted, and what turns out not to be one
waits in quarantine. 400 is for bodies that are none at the first look.
"""

import asyncio
import contextlib
import datetime as dt
import logging
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ingest.doors.limits import Pace
from ingest.doors.room import Room
from ingest.monitoring import health, metrics
from ingest.monitoring.health import Check
from ingest.settings.settings import Settings
from ingest.spool import channels, trace
from ingest.spool.maildir import Spool, SpoolUnavailable
from ingest.text.addresses import in_log

from .upload import NoReport, Upload

log = logging.getLogger(__name__)

DOOR = channels.HTTPS
# Operators publish the address with and without a slash at its end.
_PATHS = ("/v1/tlsrpt", "/v1/tlsrpt/")
# The two types of section 5.4, and the wrong ones seen in the wild: curl's default, generic gzip, plain JSON, none at all.
_TYPES = {
    "",
    "application/tlsrpt+gzip",
    "application/tlsrpt+json",
    "application/tlsrpt",
    "application/json",
    "application/gzip",
    "application/x-gzip",
    "application/zip",
    "application/octet-stream",
    "application/x-www-form-urlencoded",
    "binary/octet-stream",
    "text/json",
    "text/plain",
}
_FILE_NAME = re.compile(r'filename="?([^";]+)"?', re.IGNORECASE)


class RefusedUpload(Exception):
    """A request that gets no 201: status, and one sentence for the sender's log."""

    def __init__(self, status: int, reason: str, metric: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.metric = metric


def application(settings: Settings, spool: Spool, checks: Mapping[str, Check] | None = None) -> Starlette:
    """The ASGI application. ``checks`` are further conditions of /readyz: each says what is wrong, or None."""
    door = _HttpDoor(settings, spool)
    reports = [Route(path, door.receive, methods=["POST"]) for path in _PATHS]
    app = Starlette(
        routes=[*reports, *health.routes(settings, spool, checks or {})], exception_handlers={Exception: _fault}
    )
    # Starlette would answer 307 to a path with a slash too many; tlsrpt-reporter's uploader (curl without --location) takes
    # that for delivered.
    app.router.redirect_slashes = False
    return app


class _HttpDoor:
    def __init__(self, settings: Settings, spool: Spool) -> None:
        self._settings = settings
        self._spool = spool
        self._room = Room(settings, spool)
        self._disk = ThreadPoolExecutor(max_workers=16, thread_name_prefix="spool")

    async def receive(self, request: Request) -> Response:
        """Take one report; 201 when it is safe."""
        peer = request.client.host if request.client else "unknown"
        try:
            name, size = await self._take(request, peer)
        except NoReport:
            reason = "the body is no TLS report: neither JSON nor compressed data (RFC 8460 section 5.4)"
            return _refusal(RefusedUpload(400, reason, "no-report"), peer)
        except SpoolUnavailable as error:
            log.error("%s", error)
            return _refusal(RefusedUpload(503, "storage is not available, please try again later", "storage"), peer)
        except RefusedUpload as refused:
            return _refusal(refused, peer)
        metrics.accepted.labels(DOOR).inc()
        metrics.accepted_bytes.labels(DOOR).inc(size)
        log.info("%s: accepted %s, %d bytes", in_log(peer), name, size)
        return PlainTextResponse("accepted\n", 201)

    async def _take(self, request: Request, peer: str) -> tuple[str, int]:
        """Read a body into the spool: the name under which it is on disk, and the octets of it."""
        self._check(request)
        header = trace.for_upload(
            b"",
            content_type=_content_type(request),
            filename=_file_name(request),
            peer=peer,
            hostname=self._settings.hostname,
            now=dt.datetime.now(dt.UTC),
        )
        upload = Upload(self._spool, header)
        with contextlib.ExitStack() as undo:
            undo.callback(upload.abort)
            await self._body(request, upload)
            undo.pop_all()
        # A client that hangs up meanwhile does not stop the commit, which cleans up after itself.
        writing = asyncio.get_running_loop().run_in_executor(self._disk, self._commit, upload)
        return await asyncio.shield(writing), upload.octets

    def _check(self, request: Request) -> None:
        """Refuse what needs no reading."""
        limit = self._settings.max_message_bytes
        announced = request.headers.get("content-length", "0")
        if announced.isdigit() and int(announced) > limit:
            raise RefusedUpload(413, f"the body is larger than {limit} bytes", "size")
        if _content_type(request) not in _TYPES:
            raise RefusedUpload(
                415, "send application/tlsrpt+gzip or application/tlsrpt+json (RFC 8460 section 5.4)", "type"
            )
        if lack := self._room.lack():
            log.error("%s", lack)
            raise RefusedUpload(503, "storage is full, please try again later", "storage")

    async def _body(self, request: Request, upload: Upload) -> None:
        limit, now = self._settings.max_message_bytes, asyncio.get_running_loop().time
        pace = Pace(self._settings.idle_seconds, self._settings.session_seconds, now())
        try:
            async with asyncio.timeout_at(pace.until(now(), 0)) as deadline:
                async for chunk in request.stream():
                    upload.write(chunk)
                    if upload.octets > limit:
                        raise RefusedUpload(413, f"the body is larger than {limit} bytes", "size")
                    deadline.reschedule(pace.until(now(), upload.octets))
        except TimeoutError as error:
            raise RefusedUpload(408, "the body took too long", "time") from error
        except ClientDisconnect as error:
            raise RefusedUpload(400, "the connection ended before the body did", "disconnect") from error

    def _commit(self, upload: Upload) -> str:
        return upload.commit()


def _refusal(refused: RefusedUpload, peer: str) -> Response:
    metrics.refused.labels(DOOR, refused.metric).inc()
    log.info("%s: %d %s", in_log(peer), refused.status, refused.reason)
    headers = {"Retry-After": "300"} if refused.status == 503 else {}
    # What was not read of the body must not be taken for a next request.
    headers["Connection"] = "close"
    return PlainTextResponse(refused.reason + "\n", refused.status, headers)


async def _fault(_request: Request, error: Exception) -> Response:
    """Our own faults are temporary, and none of the sender's business (docs/reliability.md row 2)."""
    log.error("fault in the HTTP door", exc_info=error)
    metrics.refused.labels(DOOR, "fault").inc()
    return PlainTextResponse("temporary fault on our side, please try again later\n", 503, {"Retry-After": "300"})


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _file_name(request: Request) -> str:
    match = _FILE_NAME.search(request.headers.get("content-disposition", "")[:2_000])
    return match[1].strip() if match else ""
