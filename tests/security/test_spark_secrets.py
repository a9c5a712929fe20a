"""A secret of Spark's reaches it, and is in no process list on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.long]

SECRET = "of=the: bucket\\#1"

START = """
import json, sys
import psutil
from pathlib import Path
from lakehouse.embedded.java import find_java
from lakehouse.settings import load_settings
from lakehouse.spark import build_session

settings = load_settings(home=Path(sys.argv[1]))
spark = build_session(settings, (), find_java(settings).home)
family = [process.cmdline() for process in [psutil.Process(), *psutil.Process().children(recursive=True)]]
told = {
    "hadoop": spark.sparkContext._jsc.hadoopConfiguration().get("fs.s3a.secret.key"),
    "master": spark.sparkContext.master,
    "lines": [" ".join(line) for line in family],
    "left": [str(file) for file in Path(sys.argv[1]).rglob("*.properties")],
}
print("TOLD " + json.dumps(told))
spark.stop()
"""


def test_it_is_told_by_a_file_that_is_gone_afterwards(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", START, str(tmp_path / "a home")],
        env={**os.environ, "LAKEHOUSE_SPARK_CONF": json.dumps({"spark.hadoop.fs.s3a.secret.key": SECRET})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.partition("TOLD ")[2])
    assert told["hadoop"] == SECRET
    assert told["master"] == "local[2]"
    assert any("SparkSubmit" in line for line in told["lines"])
    assert [line for line in told["lines"] if "of=the" in line] == []
    assert told["left"] == []
    assert "of=the" not in done.stderr
