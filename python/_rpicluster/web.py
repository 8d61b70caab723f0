"""The cluster's HTTP API: connections to the webserver that know whom they speak with, requests,
and what goes wrong with them as ClusterError."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import ipaddress
import json
import os
import re
import ssl
import threading
import typing
import urllib.parse

from _rpicluster.transport import ClusterError, Json, Path

TIMEOUT = 60.0  # seconds for an answer; the master checks a large file before it acknowledges it
CONNECTIONS = 12  # at once; the webserver has room for 32 of one address
KEPT = 4  # idle connections
EXPECT_FROM = 64 * 1024  # bytes; a larger file is sent only after the webserver has asked for it
PIECE = 1 << 18

NOT_FOUND, UNREACHABLE, REFUSED = 3, 4, 5  # the exit codes of the command, as ClusterError.code


def _colons(digits: str) -> str:
    return ":".join(digits[place:place + 2] for place in range(0, len(digits), 2)).upper()


def _read_fingerprint(text: str) -> str:
    digits = re.sub(r"[:\s]", "", text).lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise ValueError("fingerprint: expected 64 hex digits, as the webserver's log and "
                         f"`openssl x509 -fingerprint -sha256` print them, not {text!r}")
    return digits


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _PinnedConnection(http.client.HTTPSConnection):
    """Sends nothing before the certificate has proved to be the one with that fingerprint."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, fingerprint: str):
        super().__init__(host, port, timeout=TIMEOUT, context=context)
        self._fingerprint = fingerprint

    def connect(self) -> None:
        super().connect()
        shown = self.sock.getpeercert(True)
        digest = hashlib.sha256(shown or b"").hexdigest()
        if hmac.compare_digest(digest, self._fingerprint):
            return
        self.close()
        raise ClusterError(f"{self.host}:{self.port} has another certificate than the one that was "
                           f"named: its SHA-256 fingerprint is {_colons(digest)}", REFUSED)


class Answer:
    def __init__(self, status: int, tag: str, body: bytes):
        self.status = status
        self.tag = tag
        self.body = body

    def json(self) -> Json:
        try:
            value = json.loads(self.body)
        except ValueError as error:
            raise ClusterError(f"the webserver sent no JSON: {error}") from error
        if not isinstance(value, dict):
            raise ClusterError("the webserver sent something else than was asked for")
        return value


def _problem(status: int, body: bytes) -> ClusterError:
    codes = {401: REFUSED, 404: NOT_FOUND, 429: UNREACHABLE, 503: UNREACHABLE}
    text = f"the webserver answered {status}"
    with contextlib.suppress(ValueError, TypeError, KeyError):
        text = str(json.loads(body)["detail"])
    return ClusterError(text, codes.get(status, 1))


@contextlib.contextmanager
def locally(what: str) -> typing.Iterator[None]:
    """An error of this machine is none of the connection: to ask again would not help."""
    try:
        yield
    except OSError as error:
        raise ClusterError(f"cannot {what}: {error}") from error


class Web:
    """Requests from any thread; each takes a connection that is idle, or makes one."""

    def __init__(self, url: str, token: str, fingerprint: str = "",
                 ca_file: typing.Optional[Path] = None):
        parts = urllib.parse.urlsplit(url if "//" in url else f"https://{url}")
        self._host = parts.hostname or ""
        if parts.scheme not in ("https", "http") or not self._host or parts.path.strip("/"):
            raise ValueError(f"url: expected https://HOST:PORT, not {url!r}")
        self._port = parts.port or 8123
        self._context: typing.Optional[ssl.SSLContext] = None
        self._fingerprint = _read_fingerprint(fingerprint) if fingerprint else ""
        if parts.scheme == "https":
            self._context = self._make_context(ca_file)
        elif not _is_loopback(self._host):
            raise ValueError(f"url: {url} would send the token readable for everybody between here "
                             "and there; use https")
        self._token = token
        self._lock = threading.Lock()
        self._idle: typing.List[http.client.HTTPConnection] = []
        self._places = threading.BoundedSemaphore(CONNECTIONS)

    def _make_context(self, ca_file: typing.Optional[Path]) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=os.fspath(ca_file) if ca_file else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._fingerprint and not ca_file:
            # The fingerprint takes the place of the authorities: see _PinnedConnection.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    @property
    def place(self) -> str:
        return f"{self._host}:{self._port}"

    def _connect(self) -> http.client.HTTPConnection:
        if self._context is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT)
        elif self._fingerprint:
            connection = _PinnedConnection(self._host, self._port, self._context,
                                           self._fingerprint)
        else:
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=TIMEOUT,
                                                     context=self._context)
        try:
            connection.connect()
        except ssl.SSLCertVerificationError as error:
            raise ClusterError(f"the certificate of {self.place} is not trusted "
                               f"({error.verify_message}). The webserver's log has the fingerprint "
                               "of the one that it made: name it as `fingerprint`, or the file "
                               "web.crt as `ca_file`", REFUSED) from error
        return connection

    @contextlib.contextmanager
    def _connection(self) -> typing.Iterator[typing.Tuple[http.client.HTTPConnection, bool]]:
        """A connection, and whether it was used before. Kept if all went well."""
        with self._places:
            with self._lock:
                used = self._idle.pop() if self._idle else None
            connection = used or self._connect()
            try:
                yield connection, used is not None
            except BaseException:
                connection.close()
                raise
            with self._lock:
                keep = connection.sock is not None and len(self._idle) < KEPT
                if keep:
                    self._idle.append(connection)
            if not keep:
                connection.close()

    def _headers(self, more: typing.Mapping[str, str]) -> typing.Dict[str, str]:
        bearer = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return {**bearer, **more}

    def _exchange(self, act: typing.Callable[[http.client.HTTPConnection], Answer],
                  accepted: int = 0) -> Answer:
        """A connection that was idle may have been closed meanwhile: then once more on another one.
        Everything that is sent here may be sent twice."""
        for _ in range(KEPT + 1):
            used = False
            try:
                with self._connection() as (connection, used):
                    answer = act(connection)
                break
            except (OSError, http.client.HTTPException) as error:
                if used:
                    continue
                what = str(error) or type(error).__name__
                raise ClusterError(f"{self.place} does not answer: {what}", UNREACHABLE) from error
        else:
            raise ClusterError(f"{self.place} closes its connections", UNREACHABLE)
        if answer.status >= 400 and answer.status != accepted:
            raise _problem(answer.status, answer.body)
        return answer

    def ask(self, method: str, path: str, body: typing.Optional[Json] = None,
            headers: typing.Optional[typing.Mapping[str, str]] = None,
            accepted: int = 0) -> Answer:
        """Below /api/v1/. Throws ClusterError; 304 is an answer, and so is the status `accepted`.
        """
        data = None if body is None else json.dumps(body).encode()
        fields = self._headers(headers or {})
        if data is not None:
            fields["Content-Type"] = "application/json"

        def act(connection: http.client.HTTPConnection) -> Answer:
            connection.request(method, f"/api/v1/{path}", data, fields)
            answer = connection.getresponse()
            return Answer(answer.status, answer.getheader("ETag", ""), answer.read())

        return self._exchange(act, accepted)

    def download(self, href: str, file: typing.IO[bytes]) -> None:
        """Into a file, which a second attempt begins anew."""
        def act(connection: http.client.HTTPConnection) -> Answer:
            connection.request("GET", href, headers=self._headers({}))
            answer = connection.getresponse()
            if answer.status != 200:
                return Answer(answer.status, "", answer.read())
            with locally("write what comes home"):
                file.seek(0)
                file.truncate()
            while piece := answer.read(PIECE):
                with locally("write what comes home"):
                    file.write(piece)
            if answer.length:
                raise http.client.IncompleteRead(b"", answer.length)
            return Answer(200, "", b"")

        self._exchange(act)

    def upload(self, name: str, size: int, file: typing.BinaryIO) -> None:
        """A file that jobs need, by the SHA-256 of its contents; what the master has does not
        travel."""
        def act(connection: http.client.HTTPConnection) -> Answer:
            connection.putrequest("PUT", f"/api/v1/files/{name}")
            for field, value in self._headers({}).items():
                connection.putheader(field, value)
            connection.putheader("Content-Type", "application/octet-stream")
            connection.putheader("Content-Length", str(size))
            if size >= EXPECT_FROM:
                connection.putheader("Expect", "100-continue")
            connection.endheaders()
            if size >= EXPECT_FROM and (answer := _early_answer(connection)):
                return answer
            file.seek(0)
            sent = 0
            while piece := _read(file):
                sent += len(piece)
                if sent > size:
                    break
                connection.send(piece)
            if sent != size:
                raise ClusterError("a file that travels along has changed while it was sent")
            told = connection.getresponse()
            return Answer(told.status, "", told.read())

        self._exchange(act)


def _read(file: typing.BinaryIO) -> bytes:
    with locally("read a file that travels along"):
        return file.read(PIECE)


def _early_answer(connection: http.client.HTTPConnection) -> typing.Optional[Answer]:
    """What the webserver says instead of "100 Continue"; nothing if the body is to be sent.
    http.client would pass over the 100, and wait for the answer to what was not sent."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.sock.recv(1)
        if not byte or len(head) > 16 * 1024:
            raise http.client.RemoteDisconnected("it closed the connection before the file was sent")
        head += byte
    status = int(head.split(b" ", 2)[1])
    if status == 100:
        return None
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    body = b""
    while length and len(body) < int(length.group(1)):
        piece = connection.sock.recv(PIECE)
        if not piece:
            break
        body += piece
    connection.close()  # the body was never sent: there is no next request on this one
    return Answer(status, "", body)
