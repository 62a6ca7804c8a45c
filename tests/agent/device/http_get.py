"""Runs on MicroPython: the requests of the JSON on stdin, with one client; prints what came of each."""

import asyncio
import json
import sys
from binascii import hexlify

from otaagent import http
from otaspec.errors import OtaError


async def one(client, case):
    status = await client.open(
        case.get("method", "GET"), case["url"], case.get("headers", {}), case.get("body", "").encode()
    )
    if "into" in case:  # as a download: into one small buffer, again and again
        buf = memoryview(bytearray(case["into"]))
        body = b""
        while True:
            n = await client.readinto(buf)
            if not n:
                break
            body += bytes(buf[:n])
    else:
        body = await client.read(case.get("limit", 16384))
    found = {"status": status, "body": hexlify(body).decode(), "headers": client.headers}
    if status >= 400:
        e = http.refused(client, {404: 101}, "of a test")
        found["refused"] = (e.code, getattr(e, "wait", 0))
    return found


async def main():
    setup = json.loads(sys.stdin.readline())
    ca = setup.get("ca")
    client = http.Client(
        http.tls_context(open(ca, "rb").read()) if ca else None,
        setup.get("plain", True),
        setup.get("timeout", 2),
    )
    for case in setup["cases"]:
        try:
            result = await one(client, case)
        except OtaError as e:
            result = {"error": e.code, "evidence": e.evidence}
        print(json.dumps(result))


asyncio.run(main())
