"""An OpenID Connect provider in a process of its own: oidc-provider-mock, which here insists on PKCE as well.

`python -m tests.simulators.oidc_provider PORT`. Whom it knows is told by PUT /users/<subject>.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import warnings

from flask import Flask, Response, request

warnings.simplefilter("ignore")  # of what the mock itself stands on
import oidc_provider_mock  # noqa: E402


def provider() -> Flask:
    """The mock, which gives no token for a code without the verifier of the challenge that it was asked for with."""
    app: Flask = oidc_provider_mock.app(require_nonce=True)
    challenges: dict[str, str] = {}

    def verified() -> Response | None:
        if request.path == "/oauth2/token":
            digest = hashlib.sha256(request.form.get("code_verifier", "").encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            if challenges.get(request.form.get("code", "")) != challenge:
                return Response('{"error": "invalid_grant"}', 400, mimetype="application/json")
        return None

    def remember(answer: Response) -> Response:
        onward = answer.headers.get("location", "")
        if request.path == "/oauth2/authorize" and "code=" in onward:
            code = onward.partition("code=")[2].partition("&")[0]
            challenges[code] = request.args.get("code_challenge", "")
        return answer

    app.before_request(verified)
    app.after_request(remember)
    return app


if __name__ == "__main__":
    provider().run("127.0.0.1", int(sys.argv[1]), debug=False)
