"""A server of S3 on loopback, and the environment that leads to it."""

from __future__ import annotations

import logging
from contextlib import contextmanager

ACCESS, SECRET = "AKIAOBJECTSTORAGE", "wJalrXUtnFEMI-not-to-be-shown"


@contextmanager
def running_s3():
    """Yield the variables of the environment with which a process reads from a server of S3, which ends afterwards."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": ACCESS,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    finally:
        server.stop()
