#!/usr/bin/env python3
"""Writes an image as an OCI archive, without a container engine.

  image/archive.py OUT.tar NAME:TAG [--entrypoint /program] [--user UID:GID] [--cmd ARG …] [--label KEY=VALUE] FILE=/place …

The same input gives the same bytes: every time in it is that of SOURCE_DATE_EPOCH (seconds, default 0).
Format: https://github.com/opencontainers/image-spec, image layout and image configuration.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import platform
import tarfile
from datetime import datetime, timezone

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def arguments():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("out")
    parser.add_argument("name")
    parser.add_argument("files", nargs="+", metavar="FILE=/place")
    parser.add_argument("--entrypoint", required=True)
    parser.add_argument("--user", default="65532:65532")
    parser.add_argument("--cmd", action="append", default=[])
    parser.add_argument("--label", action="append", default=[])
    return parser.parse_args()


def entry(name, mode, size, seconds):
    """A file of root, and a folder if it has no size."""
    info = tarfile.TarInfo(name)
    info.mode, info.mtime = mode, seconds
    if size is None:
        info.type = tarfile.DIRTYPE
    else:
        info.size = size
    return info


def layer(files, seconds):
    """The tar of all files at their places, with the folders above them."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        folders = set()
        for source, place in sorted(files, key=lambda file: file[1]):
            parts = place.strip("/").split("/")
            for depth in range(1, len(parts)):
                folder = "/".join(parts[:depth])
                if folder not in folders:
                    folders.add(folder)
                    tar.addfile(entry(folder, 0o755, None, seconds))
            with open(source, "rb") as content:
                data = content.read()
            mode = 0o755 if os.access(source, os.X_OK) else 0o644
            tar.addfile(entry("/".join(parts), mode, len(data), seconds), io.BytesIO(data))
    return out.getvalue()


class Archive:
    """An image layout inside a tar."""

    def __init__(self, path, seconds):
        self.seconds = seconds
        self.tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)

    def file(self, name, data):
        self.tar.addfile(entry(name, 0o644, len(data), self.seconds), io.BytesIO(data))

    def blob(self, media_type, data):
        digest = hashlib.sha256(data).hexdigest()
        self.file(f"blobs/sha256/{digest}", data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


def as_json(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def main():
    asked = arguments()
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    files = [file.rsplit("=", 1) for file in asked.files]
    content = layer(files, seconds)
    packed = gzip.compress(content, compresslevel=1, mtime=0)
    architecture = ARCHITECTURES.get(platform.machine(), platform.machine())
    labels = dict(label.split("=", 1) for label in asked.label)
    config = {
        "architecture": architecture,
        "os": "linux",
        "created": datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "config": {"Entrypoint": [asked.entrypoint], "Cmd": asked.cmd, "User": asked.user, "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(content).hexdigest()]},
    }
    archive = Archive(asked.out + ".new", seconds)
    archive.file("oci-layout", as_json({"imageLayoutVersion": "1.0.0"}))
    manifest = as_json({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": archive.blob("application/vnd.oci.image.config.v1+json", as_json(config)),
        "layers": [archive.blob("application/vnd.oci.image.layer.v1.tar+gzip", packed)],
    })
    described = archive.blob("application/vnd.oci.image.manifest.v1+json", manifest)
    tag = asked.name.rsplit(":", 1)[1]
    described["annotations"] = {"io.containerd.image.name": asked.name, "org.opencontainers.image.ref.name": tag}
    described["platform"] = {"architecture": architecture, "os": "linux"}
    archive.file("index.json", as_json({"schemaVersion": 2, "manifests": [described]}))
    archive.tar.close()
    os.replace(asked.out + ".new", asked.out)


if __name__ == "__main__":
    main()
