"""Counts and sums a stretch of a topic with Spark's Kafka source, through the nodes.

    spark_kafka.py JARS BOOTSTRAP TOPIC [OPTION=VALUE ...]

JARS is the directory of the source's jars. The options are the Kafka source's own: startingOffsets, endingOffsets, startingOffsetsByTimestamp,
startingTimestamp, minPartitions, ... One line of JSON comes out: for each partition the first and last offset, the number of records, and the
sum of the field "amount" of their values.
"""

import glob
import json
import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as f

jars, bootstrap, topic = sys.argv[1:4]
options = dict(argument.split("=", 1) for argument in sys.argv[4:])

spark = (
    SparkSession.builder.master("local[2]")
    .config("spark.jars", ",".join(sorted(glob.glob(jars + "/*.jar"))))
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.ui.enabled", "false")
    .config("spark.sql.shuffle.partitions", "2")
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")

records = spark.read.format("kafka").options(**{"kafka.bootstrap.servers": bootstrap, "subscribe": topic, **options}).load()
amount = f.get_json_object(f.col("value").cast("string"), "$.amount").cast("long")
sums = records.groupBy("partition").agg(
    f.min("offset").alias("first"), f.max("offset").alias("last"), f.count("*").alias("count"), f.sum(amount).alias("sum")
)
print(json.dumps({"tasks": records.rdd.getNumPartitions(), "partitions": {row["partition"]: row.asDict() for row in sums.collect()}}))
spark.stop()
