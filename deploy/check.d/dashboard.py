"""Every expression of the dashboard shows something: `dashboard.py BINARY`.

Prometheus scrapes a demo that has worked, both on loopback, and each expression must give a series."""

import json
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

BOARD = pathlib.Path(__file__).parent.parent / "monitoring/sluice.json"
# How long to wait for the demo, for Prometheus and for the last series.
SECONDS_MAX = 120


def expressions():
    for panel in json.loads(BOARD.read_text())["panels"]:
        for target in panel.get("targets", []):
            yield target["expr"].replace("$__rate_interval", "1m")


def within(seconds, ask):
    """The first answer that is true, or the last one."""
    until = time.monotonic() + seconds
    while not (answer := ask()) and time.monotonic() < until:
        time.sleep(0.5)
    return answer


def get(url):
    try:
        return urllib.request.urlopen(url, timeout=10).read().decode()
    except OSError:
        return ""


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def main(binary):
    running = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            output = pathlib.Path(folder, "demo.log")
            with output.open("w") as log:
                running.append(subprocess.Popen([binary, "demo"], stdout=log, stderr=log, cwd=folder))
            address = within(SECONDS_MAX, lambda: re.search(r"http://(127\.0\.0\.1:\d+)/docs", output.read_text()))
            if not address:
                sys.exit(f"deploy/check: the demo does not start: {output.read_text()[-500:]}")
            listen = f"127.0.0.1:{free_port()}"
            config = pathlib.Path(folder, "prometheus.yml")
            job = {"job_name": "sluice", "static_configs": [{"targets": [address[1]]}]}
            config.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}))
            with pathlib.Path(folder, "prometheus.log").open("w") as log:
                running.append(subprocess.Popen(
                    ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/data", f"--web.listen-address={listen}"],
                    stdout=log, stderr=log))
            empty = set(expressions())
            count = len(empty)

            def seen():
                for expr in list(empty):
                    query = urllib.parse.urlencode({"query": expr})
                    answer = get(f"http://{listen}/api/v1/query?{query}")
                    if answer and json.loads(answer)["data"]["result"]:
                        empty.discard(expr)
                return not empty

            within(SECONDS_MAX, seen)
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait()
    for expr in sorted(empty):
        print(f"deploy/check: the dashboard shows nothing for {expr}", file=sys.stderr)
    if not empty:
        print(f"deploy/check: {count} expressions of the dashboard show something")
    return 1 if empty else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
