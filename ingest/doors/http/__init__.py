"""The HTTP door for ``rua=https:`` (RFC 8460 section 5.4): Starlette on uvicorn, with the limits that it lacks."""
