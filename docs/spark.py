"""Dockerfiles of a corpus larger than one machine through `dfmigrate stream`.

    spark-submit spark.py IN OUT [--program /path/to/dfmigrate]

IN are text files of JSON Lines (`id`, and `text` or `base64`: see `dfmigrate stream --help`), by
any name that Spark reads; OUT is a new folder of JSON Lines, an answer for each line of IN.

`checkCode=True` is what makes it trustworthy: without it the records of a process that died are
lost, and the job succeeds all the same. With it the task fails, Spark tries it again, and after
`spark.task.maxFailures` failures the job fails. A line that is wrong in itself is no failure: it
has an answer with an `error`.
"""

import argparse
import shlex

from pyspark.sql import SparkSession


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("input")
    parser.add_argument("output")
    parser.add_argument("--program", default="dfmigrate", help="as it is called on each worker")
    parser.add_argument("--partitions", type=int, default=None, help="at least so many tasks")
    options = parser.parse_args()

    spark = SparkSession.builder.appName("dfmigrate").getOrCreate()
    lines = spark.sparkContext.textFile(options.input, options.partitions)
    # A process for each partition, on the one core that its task has.
    command = shlex.join([options.program, "stream", "-j", "1"])
    lines.pipe(command, checkCode=True).saveAsTextFile(options.output)
    spark.stop()


if __name__ == "__main__":
    main()
