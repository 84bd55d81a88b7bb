"""Query a Spark of another mode than that of the tests' session, in a process of its own: Spark has one mode a process.

python -m tests.support.spark_modes connect
"""

from __future__ import annotations

import sys
import tempfile
import warnings

import pyarrow.parquet

import vapi_frames as vf
from tests.support.engines import CALLS, JAVA_OPTIONS, NOW, nested
from tests.support.queries import QUERIES
from tests.support.reference import compute
from tests.support.shapes import check

NAMES = ("by two", "hour in Europe/London", "history")


def make_session(mode, folder):
    """Return a session of Spark Connect, which has no context, or of a cluster: workers in processes of their own."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder
    builder = builder.remote("local[2]") if mode == "connect" else builder.master("local-cluster[2,1,1024]")
    options = {
        "spark.driver.extraJavaOptions": JAVA_OPTIONS,
        "spark.executor.extraJavaOptions": JAVA_OPTIONS,
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.local.dir": folder,
        "spark.sql.warehouse.dir": f"{folder}/warehouse",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.session.timeZone": "America/Los_Angeles",
    }
    for name, value in options.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def main(mode):
    """Compare the frames of some queries with those of plain loops over the calls."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="spark") as folder:
        session = make_session(mode, folder)
        try:
            for part in range(2):
                pyarrow.parquet.write_table(nested(CALLS[part::2]), f"{folder}/{part}.parquet")
            session.read.parquet(f"{folder}/0.parquet", f"{folder}/1.parquet").createOrReplaceTempView("calls")
            vq = vf.warehouse(session, "calls", now=NOW)
            for name in NAMES:
                [frame] = vq.fetch(QUERIES[name]).values()
                check(frame, QUERIES[name], compute(CALLS, QUERIES[name], NOW))
        finally:
            session.stop()
    sys.stdout.write(f"{len(NAMES)} queries on {type(session).__module__}\n")


if __name__ == "__main__":
    main(sys.argv[1])
