"""Counts and sums the Parquet files of firn replay with DuckDB: no node, no Kafka, no JVM.

    duckdb_parquet.py DIRECTORY
"""

import json
import sys

import duckdb

rows = duckdb.execute(
    """
    SELECT "partition", min("offset"), max("offset"), count(*), sum(CAST(json_extract_string(decode(value), '$.amount') AS BIGINT))::BIGINT
    FROM read_parquet(?)
    GROUP BY "partition"
    """,
    [sys.argv[1] + "/**/*.parquet"],
).fetchall()
print(json.dumps({"partitions": {p: {"first": first, "last": last, "count": n, "sum": total} for p, first, last, n, total in rows}}))
