"""metadata - stand-ins for the services that give credentials of AWS, one HTTP server for all.

They refuse what the real ones refuse, and what they hand out is whatever a test puts into
.credentials, for example of the STS of a real server:

    instance    PUT /latest/api/token, GET /latest/meta-data/iam/security-credentials/[ROLE]
    container   GET /container with the Authorization that .container_token says
    STS         POST /sts, web identity, the token must be .web_identity
"""

import datetime
import http.server
import json
import threading
import urllib.parse

ROLE = "backup-role"


def in_seconds(seconds):
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _handle(self):
        m = self.server.metadata
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        m.requests.append(f"{self.command} {self.path}")
        if m.broken:
            status, text = m.broken, "broken"
        else:
            status, text = m.answer(self.command, self.path, self.headers, body.decode())
        data = text.encode()
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = _handle  # noqa: N815


class Metadata:
    def __init__(self):
        self.requests = []
        self.broken = 0  # a status that everything gets
        self.without_tokens = False  # an instance of the first version
        self.container_token = None
        self.web_identity = None
        self.lifetime = 3600
        self.credentials = None  # (key, secret, token); a function is asked each time
        self._tokens = set()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.metadata = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def count(self, text):
        return sum(1 for r in self.requests if text in r)

    def forget_tokens(self):
        self._tokens.clear()

    def _credentials(self):
        return self.credentials() if callable(self.credentials) else self.credentials

    def _json(self, **more):
        key, secret, token = self._credentials()
        return json.dumps(
            {
                "AccessKeyId": key,
                "SecretAccessKey": secret,
                "Token": token,
                "Expiration": in_seconds(self.lifetime),
                **more,
            }
        )

    def answer(self, method, target, headers, body):
        path = urllib.parse.urlsplit(target).path
        if path.startswith("/latest/"):
            return self._instance(method, path, headers)
        if path == "/container":
            if method != "GET":
                return 405, ""
            if headers.get("Authorization") != self.container_token:
                return 401, json.dumps({"code": "InvalidToken", "message": "wrong token"})
            return 200, self._json(RoleArn="arn:aws:iam::1:role/x")
        if path == "/sts/":
            return self._sts(method, headers, body)
        return 404, "no such thing"

    def _instance(self, method, path, headers):
        if "X-Forwarded-For" in headers:
            return 403, "came through a proxy"
        if path == "/latest/api/token":
            ttl = headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
            if self.without_tokens:
                return 404, ""
            if method != "PUT" or not ttl.isdigit() or not 1 <= int(ttl) <= 21600:
                return 400, "bad lifetime"
            token = f"token-{len(self._tokens)}-{id(self)}=="
            self._tokens.add(token)
            return 200, token
        if method != "GET":
            return 405, ""
        if not self.without_tokens and headers.get("X-aws-ec2-metadata-token") not in self._tokens:
            return 401, "no token"
        folder = "/latest/meta-data/iam/security-credentials/"
        if path == folder:
            return 200, ROLE
        if path == folder + ROLE:
            return 200, self._json(Code="Success", LastUpdated=in_seconds(0), Type="AWS-HMAC")
        return 404, ""

    def _sts(self, method, headers, body):
        form = dict(urllib.parse.parse_qsl(body))

        def fault(code, message):
            return 400, (
                f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
                f"<Message>{message}</Message></Error></ErrorResponse>"
            )

        if method != "POST" or "Authorization" in headers:
            return fault("InvalidAction", "unsigned POST only")
        if form.get("Action") != "AssumeRoleWithWebIdentity" or form.get("Version") != "2011-06-15":
            return fault("InvalidAction", "no such action")
        if not form.get("RoleArn", "").startswith("arn:") or not form.get("RoleSessionName"):
            return fault("ValidationError", "RoleArn or RoleSessionName is missing")
        if form.get("WebIdentityToken") != self.web_identity:
            return fault("ExpiredTokenException", "Token expired")
        key, secret, token = self._credentials()
        return 200, (
            '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
            "<AssumeRoleWithWebIdentityResult><Credentials>"
            f"<AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>"
            f"<SessionToken>{token}</SessionToken>"
            f"<Expiration>{in_seconds(self.lifetime)}</Expiration></Credentials>"
            "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        )
