"""WebSockets through Komainu, seen from both ends: frames stay as they are, and each way of closing reaches the other side."""

import pathlib
import sys
import tempfile
import traceback

import proxies
import websocket_cases
from websocket_ends import Http1, Target
from websocket_http2 import Http2


def main(program):
    with tempfile.TemporaryDirectory() as folder:
        target = Target()
        address = f"{{hostname: 127.0.0.1, port: {target.port}}}"
        port = proxies.komainu_alone(pathlib.Path(folder), program, address)
        passed = failed = 0
        for dialect in (Http1, Http2):
            for case in websocket_cases.of(dialect):
                try:
                    case(dialect(port), target)
                    passed += 1
                except (AssertionError, OSError, EOFError) as error:
                    place = traceback.extract_tb(error.__traceback__)[-1]
                    print(f"{dialect.name}: {case.__name__}: {type(error).__name__} {error} ({place.line})")
                    failed += 1
    print(f"WebSocket: {passed} cases passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
