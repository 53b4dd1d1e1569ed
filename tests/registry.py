"""A registry with one image, to be pulled by a real engine: engines trust one on localhost without TLS."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import docker

_DOCKER = "application/vnd.docker."
_MANIFEST = _DOCKER + "distribution.manifest.v2+json"


@contextlib.contextmanager
def serving(client: docker.DockerClient, image: str) -> Iterator[str]:
    """Within: the image is to be had at this address (`localhost:PORT/nobody/it:v1`)."""
    blobs, manifest = _unpacked(client, image)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            what, _, name = self.path.rpartition("/")
            if what.endswith("/manifests"):
                self._answer(_MANIFEST, manifest)
            elif name in blobs:
                self._answer("application/octet-stream", blobs[name])
            else:
                self._answer("application/json", b"{}")

        do_HEAD = do_GET  # noqa: N815 (the name that http.server calls)

        def _answer(self, kind: str, content: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Docker-Content-Digest", _digest(content))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"localhost:{server.server_address[1]}/nobody/it:v1"
    finally:
        server.shutdown()
        server.server_close()


def _unpacked(client: docker.DockerClient, image: str) -> tuple[dict[str, bytes], bytes]:
    """The image's blobs by their digests, and its manifest."""
    packed = io.BytesIO(b"".join(client.images.get(image).save()))
    with tarfile.open(fileobj=packed) as tar:

        def read(name: str) -> bytes:
            file = tar.extractfile(name)
            assert file
            return file.read()

        (said,) = json.loads(read("manifest.json"))
        config = read(said["Config"])
        layers = [gzip.compress(read(name), mtime=0) for name in said["Layers"]]
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _described("container.image.v1+json", config),
        "layers": [_described("image.rootfs.diff.tar.gzip", layer) for layer in layers],
    }
    return {_digest(blob): blob for blob in (config, *layers)}, json.dumps(manifest).encode()


def _described(kind: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": _DOCKER + kind, "size": len(blob), "digest": _digest(blob)}


def _digest(blob: bytes) -> str:
    return "sha256:" + hashlib.sha256(blob).hexdigest()
