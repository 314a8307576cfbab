"""Counts and sums the Parquet files of firn replay with DuckDB: no node, no Kafka, no JVM.

    duckdb_parquet.py DIRECTORY [typed]

With "typed" they were written with --schema, and amount is a column; otherwise values are bytes, which hold JSON.
"""

import json
import sys

import duckdb

amount = "value.amount" if sys.argv[2:] == ["typed"] else "CAST(decode(value) ->> '$.amount' AS BIGINT)"
rows = duckdb.execute(
    f"""
    SELECT "partition", min("offset"), max("offset"), count(*), sum({amount})::BIGINT
    FROM read_parquet(?)
    GROUP BY "partition"
    """,
    [sys.argv[1] + "/**/*.parquet"],
).fetchall()
print(json.dumps({"partitions": {p: {"first": first, "last": last, "count": n, "sum": total} for p, first, last, n, total in rows}}))
