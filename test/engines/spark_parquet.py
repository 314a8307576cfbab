"""Counts and sums the Parquet files of firn replay with Spark: no node, no Kafka.

    spark_parquet.py DIRECTORY
"""

import json
import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as f

spark = (
    SparkSession.builder.master("local[2]")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.ui.enabled", "false")
    .config("spark.sql.shuffle.partitions", "2")
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")

records = spark.read.option("recursiveFileLookup", "true").option("pathGlobFilter", "*.parquet").parquet(sys.argv[1])
amount = f.get_json_object(f.col("value").cast("string"), "$.amount").cast("long")
sums = records.groupBy("partition").agg(
    f.min("offset").alias("first"), f.max("offset").alias("last"), f.count("*").alias("count"), f.sum(amount).alias("sum")
)
print(json.dumps({"partitions": {row["partition"]: row.asDict() for row in sums.collect()}}))
spark.stop()
