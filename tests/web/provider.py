"""An identity provider on the loopback: a key set over HTTP, and tokens signed with its keys. It counts who asks."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from jobhub.services.provider import ProviderOptions

ISSUER, AUDIENCE = "https://idp.example.org", "jobhub-api"


class IdentityProvider:
    """What it answers can be replaced: `status`, `body`, and the keys by id."""

    def __init__(self, url: str) -> None:
        self.url, self.requests, self.status = url, [], 200
        self.private = {"one": Ed25519PrivateKey.generate(), "two": Ed25519PrivateKey.generate()}
        self.published = ["one", "two"]
        self.body: bytes | None = None
        self.may_answer = threading.Event()
        self.may_answer.set()

    @property
    def options(self) -> ProviderOptions:
        return ProviderOptions(jwks_url=f"{self.url}/keys", issuer=ISSUER, audience=AUDIENCE, algorithm="EdDSA")

    def jwk(self, kid: str) -> dict[str, Any]:
        return jwt.algorithms.OKPAlgorithm.to_jwk(self.private[kid].public_key(), as_dict=True) | {"kid": kid, "use": "sig"}

    def answer(self) -> bytes:
        return self.body if self.body is not None else json.dumps({"keys": [self.jwk(kid) for kid in self.published]}).encode()

    def claims(self, email: Any, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        given = {"iss": ISSUER, "aud": AUDIENCE, "sub": "subject", "jti": "j", "iat": now, "exp": now + 300, "email": email}
        given["email_verified"] = True
        return {name: value for name, value in (given | changes).items() if value is not None}

    def token(self, email: Any, *, kid: str = "one", headers: dict[str, Any] | None = None, **changes: Any) -> str:
        return jwt.encode(self.claims(email, **changes), self.private[kid], algorithm="EdDSA", headers={"kid": kid} | (headers or {}))


@contextmanager
def running_provider() -> Iterator[IdentityProvider]:
    """A provider until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.requests.append(self.path)
            provider.may_answer.wait(10)
            body = provider.answer()
            self.send_response(provider.status)
            self.send_header("Location", f"{provider.url}/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider = IdentityProvider(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()
