"""httpfaults - an HTTP proxy in front of a real server that counts requests and breaks some.

    with FaultProxy(server["S3_ENDPOINT"]) as proxy:
        proxy.fail(Status(503, retry_after=1), method="PUT", times=3)

What is not broken goes through unchanged, so that signatures stay valid: the client signs the
proxy's host and port, and the server sees them. Bodies are passed on in pieces.
"""

import contextlib
import http.client
import http.server
import re
import socket
import ssl
import struct
import threading
import time
import urllib.parse

PIECE = 64 << 10
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect"}


class Request:
    """One request as it came."""

    def __init__(self, handler):
        self.method = handler.command
        self.target = handler.path
        split = urllib.parse.urlsplit(handler.path)
        self.path = urllib.parse.unquote(split.path)
        self.query = dict(urllib.parse.parse_qsl(split.query, keep_blank_values=True))
        self.headers = {n.lower(): v for n, v in handler.headers.items()}
        self.size = int(self.headers.get("content-length", "0"))
        self.at = time.monotonic()
        self.fault = None  # what was done to it
        self.status = None  # what the client got, None: nothing

    @property
    def call(self):
        """What S3 calls it."""
        key = self.path.strip("/").count("/") > 0
        if self.method == "GET" and not key:
            return "uploads" if "uploads" in self.query else "list"
        if "uploads" in self.query or "uploadId" in self.query:
            return {"POST": "complete", "PUT": "part", "DELETE": "abort"}[self.method] if (
                "uploadId" in self.query
            ) else "create"
        if self.method == "POST" and "delete" in self.query:
            return "delete-many"
        return self.method.lower()

    def __repr__(self):
        return f"<{self.method} {self.target} {self.size} -> {self.fault} {self.status}>"


# --- faults: each handles a request in place of passing it on --------------------------------


class Status:
    """An answer of the proxy's own; the server never sees the request."""

    def __init__(self, status, code="", message="", retry_after=None, body=None, headers=()):
        self.status, self.headers = status, dict(headers)
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)
        if body is None and code:
            body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        self.body = (body or "").encode() if not isinstance(body, bytes) else body

    def __call__(self, handler, request):
        handler.swallow_body()
        handler.answer(self.status, self.headers, self.body)

    def __repr__(self):
        return f"Status({self.status})"


class Reset:
    """The connection is cut before the request is passed on, after so many bytes of its body."""

    def __init__(self, after=0):
        self.after = after

    def __call__(self, handler, request):
        handler.rfile.read(min(self.after, request.size))
        handler.reset()


class LostAnswer:
    """The server does what it was asked; the client never hears of it."""

    def __call__(self, handler, request):
        handler.forward().read()
        handler.reset()


class Stall:
    """Nothing happens until release() is called; then the request goes on as usual."""

    def __init__(self):
        self._event = threading.Event()
        self.reached = threading.Event()

    def release(self):
        self._event.set()

    def __call__(self, handler, request):
        self.reached.set()
        self._event.wait(600)
        handler.pass_on()


class Truncated:
    """The answer ends after so many bytes of its body, although more were announced."""

    def __init__(self, after=10):
        self.after = after

    def __call__(self, handler, request):
        answer = handler.forward()
        body = answer.read()
        handler.head(answer.status, answer.getheaders(), len(body))
        handler.wfile.write(body[: self.after])
        handler.wfile.flush()
        handler.reset()


class WrongLength:
    """The answer is shorter than what was asked for, and says so consistently."""

    def __init__(self, drop=1):
        self.drop = drop

    def __call__(self, handler, request):
        answer = handler.forward()
        body = answer.read()[: -self.drop]
        handler.head(answer.status, answer.getheaders(), len(body))
        handler.wfile.write(body)


class Garbled:
    """The body of the answer goes through a function."""

    def __init__(self, change):
        self.change = change

    def __call__(self, handler, request):
        answer = handler.forward()
        body = self.change(answer.read())
        handler.head(answer.status, answer.getheaders(), len(body))
        handler.wfile.write(body)


class Slow:
    """The answer comes in pieces of so many bytes with a pause before each."""

    def __init__(self, piece=1000, pause=0.05):
        self.piece, self.pause = piece, pause

    def __call__(self, handler, request):
        answer = handler.forward()
        body = answer.read()
        handler.head(answer.status, answer.getheaders(), len(body))
        for at in range(0, len(body), self.piece):
            time.sleep(self.pause)
            handler.wfile.write(body[at : at + self.piece])
            handler.wfile.flush()


class Pass:
    """No fault; a rule with it lets some requests by before the next one counts."""

    def __call__(self, handler, request):
        handler.pass_on()


class _Rule:
    def __init__(self, fault, times, skip, tests):
        self.fault, self.times, self.skip, self.tests = fault, times, skip, tests
        self.hits = 0

    def takes(self, request):
        for name, wanted in self.tests.items():
            value = getattr(request, name)
            if not (wanted(value) if callable(wanted) else re.search(wanted, str(value))):
                return False
        if self.skip > 0:
            self.skip -= 1
            return False
        return self.times is None or self.hits < self.times


# --- the proxy -------------------------------------------------------------------------------


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 600

    def log_message(self, *_):
        pass

    def _handle(self):
        proxy = self.server.proxy
        request = self.request_seen = Request(self)
        fault = proxy.note(request)
        self.body_left = request.size
        self.upstream = None
        try:
            fault(self, request)
        except (OSError, http.client.HTTPException) as e:
            request.status = request.status or f"{type(e).__name__}"
            self.close_connection = True
        finally:
            if self.upstream is not None:
                self.upstream.close()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _handle  # noqa: N815

    def _body(self):
        while self.body_left > 0:
            piece = self.rfile.read(min(PIECE, self.body_left))
            if not piece:
                raise ConnectionError("the client has gone")
            self.body_left -= len(piece)
            yield piece

    def swallow_body(self):
        for _ in self._body():
            pass

    def forward(self):
        """Sends the request on; the answer of the server."""
        request = self.request_seen
        up = self.server.proxy.upstream
        self.upstream = http.client.HTTPConnection(up.hostname, up.port, timeout=600)
        self.upstream.putrequest(
            request.method, request.target, skip_host=True, skip_accept_encoding=True
        )
        for name, value in self.headers.items():
            if name.lower() not in HOP_BY_HOP:
                self.upstream.putheader(name, value)
        self.upstream.endheaders()
        for piece in self._body():
            self.upstream.send(piece)
        return self.upstream.getresponse()

    def head(self, status, headers, size):
        self.request_seen.status = status
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOP_BY_HOP | {"content-length"}:
                self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("Content-Length", str(size))
        self.end_headers()

    def answer(self, status, headers, body):
        self.head(status, list(dict(headers).items()), len(body))
        if self.command != "HEAD":
            self.wfile.write(body)

    def pass_on(self):
        answer = self.forward()
        if self.command == "HEAD":
            self.head(answer.status, answer.getheaders(), answer.headers["Content-Length"] or 0)
            return
        size = answer.headers["Content-Length"]
        if size is None:  # sent in chunks
            body = answer.read()
            self.head(answer.status, answer.getheaders(), len(body))
            self.wfile.write(body)
            return
        self.head(answer.status, answer.getheaders(), int(size))
        while piece := answer.read(PIECE):
            self.wfile.write(piece)

    def reset(self):
        """RST in place of an orderly end."""
        with contextlib.suppress(OSError):
            self.connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        self.close_connection = True
        self.server.proxy.cut(self.connection)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # clients that go away are what this is for

    def shutdown_request(self, request):
        self.proxy.connections.discard(request)
        self.close_request(request)


class FaultProxy:
    def __init__(self, upstream, tls=None):
        """tls: (certificate, key) for a proxy that speaks TLS."""
        self.upstream = urllib.parse.urlsplit(upstream)
        self.requests = []
        self.connections = set()
        self.down = False
        self._rules = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        scheme = "http"
        if tls is not None:
            scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"{scheme}://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.daemon = True
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for rule in self._rules:
            if isinstance(rule.fault, Stall):
                rule.fault.release()
        self._server.shutdown()
        self._server.server_close()

    # what is done to requests

    def fail(self, fault, times=1, skip=0, **tests):
        """The next `times` requests (None: all) that pass the tests get a fault, `skip` of them
        go before. A test is about an attribute of a Request: a pattern or a function."""
        rule = _Rule(fault, times, skip, tests)
        with self._lock:
            self._rules.append(rule)
        return rule

    def heal(self):
        with self._lock:
            rules, self._rules = self._rules, []
        for rule in rules:
            if isinstance(rule.fault, Stall):
                rule.fault.release()

    def note(self, request):
        with self._lock:
            self.requests.append(request)
            for rule in self._rules:
                if rule.takes(request):
                    rule.hits += 1
                    request.fault = rule.fault
                    return rule.fault
        return Pass()

    def cut(self, connection):
        with contextlib.suppress(OSError):
            connection.close()

    # what is counted

    def count(self, call=None):
        """How many requests came, all or those of one call of S3."""
        with self._lock:
            return sum(1 for r in self.requests if call is None or r.call == call)

    def calls(self):
        """{call: how many}"""
        with self._lock:
            found = {}
            for r in self.requests:
                found[r.call] = found.get(r.call, 0) + 1
            return found

    def forget(self):
        with self._lock:
            self.requests.clear()
