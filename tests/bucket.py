"""A store that speaks as much S3 as files need, on a real socket: objects, lists, uploads in parts."""

import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from email.utils import formatdate
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


@dataclass
class Store:
    """What is in the bucket by key, and what was asked of it."""

    objects: dict[str, bytes] = field(default_factory=dict)
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    #: Bytes of objects that were sent, by key.
    sent: Counter[str] = field(default_factory=Counter)
    authorizations: set[str] = field(default_factory=set)
    failing: bool = False
    #: So many of the next answers with an object break off after half of it.
    breaking: int = 0
    #: Answers with an object fall silent after half of it, as long as this is not set.
    speaking: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: Store

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "content_length" not in headers:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_any(self) -> None:
        store, address = self.store, urlsplit(self.path)
        query = parse_qs(address.query, keep_blank_values=True)
        _, _, key = unquote(address.path).removeprefix("/").partition("/")
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        store.requests.append((self.command, key))
        store.authorizations.add(self.headers.get("authorization", ""))
        if store.failing:
            return self.answer(503, b"<Error><Code>SlowDown</Code></Error>")
        if not key:
            return self.list(query)
        method = {"PUT": self.put, "POST": self.parts, "GET": self.get, "HEAD": self.get}.get(self.command)
        if method is None:
            store.objects.pop(key, None)
            return self.answer(204)
        return method(key, query, body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815 - the base class's names

    def put(self, key: str, query: dict, body: bytes) -> None:
        assert "aws-chunked" not in self.headers.get("content-encoding", "")
        if "partNumber" in query:
            self.store.parts[query["uploadId"][0]][int(query["partNumber"][0])] = body
        else:
            self.store.objects[key] = body
        self.answer(200, etag=f'"{md5(body, usedforsecurity=False).hexdigest()}"')

    def parts(self, key: str, query: dict, body: bytes) -> None:
        if "uploads" in query:
            upload = f"upload-{len(self.store.parts)}"
            self.store.parts[upload] = {}
            text = f"<InitiateMultipartUploadResult><Key>{key}</Key><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
            return self.answer(200, text.encode(), content_type="application/xml")
        held = self.store.parts.pop(query["uploadId"][0])
        numbers = [int(number) for number in re.findall(rb"<PartNumber>(\d+)<", body)]
        self.store.objects[key] = b"".join(held[number] for number in numbers)
        text = (
            f'<CompleteMultipartUploadResult><Key>{key}</Key><ETag>"x"</ETag></CompleteMultipartUploadResult>'
        )
        return self.answer(200, text.encode(), content_type="application/xml")

    def get(self, key: str, query: dict, body: bytes) -> None:
        data = self.store.objects.get(key)
        if data is None:
            return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        etag = f'"{md5(data, usedforsecurity=False).hexdigest()}"'
        if self.headers.get("if-match", etag) != etag:
            return self.answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        told = {
            "etag": etag,
            "last_modified": formatdate(usegmt=True),
            "content_type": "binary/octet-stream",
        }
        if self.command == "HEAD":
            return self.answer(200, content_length=str(len(data)), **told)
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", "")):
            first, last = int(asked[1]), int(asked[2] or len(data) - 1)
            told["content_range"] = f"bytes {first}-{last}/{len(data)}"
            return self.send(key, 206, data[first : last + 1], told)
        return self.send(key, 200, data, told)

    def send(self, key: str, status: int, data: bytes, told: dict[str, str]) -> None:
        told["content_length"] = str(len(data))
        if self.store.breaking > 0:
            self.store.breaking -= 1
            self.close_connection = True
            data = data[: len(data) // 2]
        half = len(data) if self.store.speaking.is_set() else len(data) // 2
        self.store.sent[key] += half
        self.answer(status, data[:half], **told)
        if half < len(data):
            self.store.speaking.wait()
            self.close_connection = True

    def list(self, query: dict) -> None:
        prefix = query.get("prefix", [""])[0]
        keys = [key for key in self.store.objects if key.startswith(prefix) and "/" not in key[len(prefix) :]]
        found = "".join(f"<Contents><Key>{escape(key)}</Key><Size>1</Size></Contents>" for key in keys)
        text = f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>"
        self.answer(200, text.encode(), content_type="application/xml")


class Bucket:
    """The store while it runs: `with Bucket() as store: ...`."""

    def __enter__(self) -> Store:
        self.store = Store()
        self.store.speaking.set()
        handler = type("Handler", (_Handler,), {"store": self.store})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.store.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        return self.store

    def __exit__(self, *_: object) -> None:
        self.store.speaking.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
