"""A small OpenID Connect provider in this process: discovery, authorization code with PKCE, signed id tokens, end of session."""

import base64
import hashlib
import html
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.support import eventually, free_port

CLIENT, SECRET = "starttally", "a-secret-of-the-client-7f3d"


class Provider:
    """The provider and its users: each name with the claims of its id tokens (``sub`` is the name unless they say otherwise).

    ``age`` is how many seconds ago its tokens say that they were issued, ``ahead`` how far its clock is ahead (negative: behind; both in seconds);
    ``logins`` counts the tokens it gave, ``refused`` what it refused at the token endpoint. ``secret`` is the client's;
    ``denies`` refuses every login, ``down`` answers 503 to everything but that.
    """

    def __init__(self, port: int, users: dict[str, dict[str, Any]], back: str) -> None:
        self.issuer = f"http://127.0.0.1:{port}"
        self.users = users
        self.back = back
        self.age = 0
        self.ahead = 0
        self.logins = 0
        self.secret = SECRET
        self.denies = False
        self.down = False
        self.refused: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}
        self._key = RSAKey.generate_key(2048, {"kid": "one"})

    def application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._discovery),
                Route("/authorize", self._authorize, methods=["GET", "POST"]),
                Route("/token", self._token, methods=["POST"]),
                Route("/keys", self._keys),
                Route("/end", self._end),
            ]
        )

    async def _discovery(self, _request: Request) -> Response:
        if self.down:
            return Response("out of order", 503)
        ways = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        ways |= {"end_session_endpoint": "end"}
        return JSONResponse(
            {name: f"{self.issuer}/{way}" for name, way in ways.items()}
            | {
                "issuer": self.issuer,
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "code_challenge_methods_supported": ["S256"],
            }
        )

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        if (asked["client_id"], asked["redirect_uri"]) != (CLIENT, self.back) or asked["response_type"] != "code":
            return Response("no such client", 400)
        if self.denies:
            answer = {"error": "access_denied", "error_description": "not you\x1b[2J", "state": asked["state"]}
            return RedirectResponse(f"{self.back}?{urlencode(answer)}", 302)
        if request.method == "GET":
            field = "<input name='user' autofocus><button>Sign in</button>"
            return HTMLResponse(f"<form method='post' action='?{html.escape(str(request.url.query))}'>{field}</form>")
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked | {"user": str((await request.form())["user"])}
        return RedirectResponse(f"{self.back}?{urlencode({'code': code, 'state': asked['state']})}", 302)

    async def _token(self, request: Request) -> Response:
        sent = await request.form()
        asked = self._codes.pop(str(sent.get("code")), None)
        client = base64.b64encode(f"{CLIENT}:{self.secret}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {client}":
            self.refused.append("invalid_client")
            return JSONResponse({"error": "invalid_client"}, 401)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(str(sent.get("code_verifier")).encode()).digest())
        if asked is None or asked["code_challenge"] != challenge.decode().rstrip("="):
            self.refused.append("invalid_grant")
            return JSONResponse({"error": "invalid_grant"}, 400)
        self.logins += 1
        now = int(time.time()) + self.ahead
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": asked["user"], "iat": now - self.age, "exp": now + 300}
        claims |= {"nonce": asked["nonce"]} | self.users[asked["user"]]
        token = jwt.encode({"alg": "RS256", "kid": "one"}, claims, self._key)
        return JSONResponse({"id_token": token, "access_token": "opaque", "token_type": "Bearer", "expires_in": 300})

    async def _keys(self, _request: Request) -> Response:
        return JSONResponse({"keys": [self._key.as_dict(private=False)]})

    async def _end(self, request: Request) -> Response:
        return RedirectResponse(request.query_params["post_logout_redirect_uri"], 302)


@contextmanager
def running(users: dict[str, dict[str, Any]], back: str) -> Iterator[Provider]:
    """A provider on a free port of loopback, whose one client gets its users back at ``back``."""
    port = free_port()
    provider = Provider(port, users, back)
    server = uvicorn.Server(uvicorn.Config(provider.application(), port=port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, name="login provider")
    thread.start()
    eventually(lambda: server.started)
    yield provider
    server.should_exit = True
    thread.join(20)
