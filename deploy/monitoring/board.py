#!/usr/bin/env python3
"""Writes sluice.json, the dashboard for Grafana, and rule.yaml, which wraps rules.yaml for Prometheus'
operator. Run it after a change of either; deploy/check says when that was forgotten.

Gauges that every uploader shows alike are read with max. Needs nothing but Python."""

import json
import pathlib

FOLDER = pathlib.Path(__file__).parent
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
RATE = "[$__rate_interval]"


def panel(title, unit, *queries, kind="timeseries", help=""):
    """A panel; each query is an expression and the legend of its series."""
    return {"title": title, "unit": unit, "queries": queries, "kind": kind, "help": help}


def quantile(q, by="", **labels):
    chosen = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return (f"histogram_quantile({q}, sum by (le{by}) "
            f"(rate(sluice_document_seconds_bucket{{{chosen}}}{RATE})))")


ROWS = {
    "Flow": [
        panel("Documents in and out", "ops",
              (f'sum(rate(sluice_http_requests_total{{route="/v1/documents",status=~"2.."}}{RATE}))', "requests"),
              (f"sum by (state) (rate(sluice_documents_total{RATE}))", "{{state}}")),
        panel("Waiting", "short", ("max(sluice_queue_depth)", "queued"), ("max(sluice_in_flight)", "in work"),
              ("max by (reason) (sluice_waiting)", "waits for {{reason}}")),
        panel("Oldest that is not published", "s", ("max(sluice_outbox_oldest_seconds)", "messages"),
              ("max(sluice_events_oldest_seconds)", "events")),
    ],
    "Latency": [
        panel("Time by stage, median", "s", (quantile(0.5, ", stage"), "{{stage}}")),
        panel("Total, 95 of 100", "s", (quantile(0.95, ", priority", stage="total"), "{{priority}}")),
        panel("Requests of HTTP, 95 of 100", "s",
              (f"histogram_quantile(0.95, sum by (le, route) (rate(sluice_http_request_seconds_bucket{RATE})))", "{{route}}")),
    ],
    "Quota": [
        panel("Tokens a minute against quota", "short",
              (f"sum by (deployment) (rate(sluice_tokens_total{RATE})) * 60", "{{deployment}} used"),
              ("max by (deployment) (sluice_deployment_tokens_per_minute)", "{{deployment}} quota"),
              ("max by (deployment) (sluice_pool_external_load_tokens)", "{{deployment}} used by others")),
        panel("Calls by outcome", "ops", (f"sum by (deployment, outcome) (rate(sluice_calls_total{RATE}))", "{{deployment}} {{outcome}}")),
        panel("Wait for quota, 95 of 100", "s",
              (f"histogram_quantile(0.95, sum by (le, class) (rate(sluice_quota_wait_seconds_bucket{RATE})))", "{{class}}")),
        panel("State of deployments", "short", ("min by (deployment) (sluice_deployment_state)", "{{deployment}}"),
              help="0 takes calls, 1 rests after failures, 2 throttled, 3 refuses"),
    ],
    "Money": [
        panel("Cost an hour", "short", ("sum by (deployment) (rate(sluice_cost_total[1h])) * 3600", "{{deployment}}"),
              ("sum by (tenant) (rate(sluice_cost_total[1h])) * 3600", "tenant {{tenant}}"),
              help="In the currency of the configured prices"),
        panel("Cost of a document", "short", ("sum(rate(sluice_cost_total[1h])) / sum(rate(sluice_documents_total[1h]))", "mean")),
    ],
    "Quality": [
        panel("Values by evidence", "percentunit",
              (f"sum by (status) (rate(sluice_fields_total{RATE})) / ignoring(status) group_left sum(rate(sluice_fields_total{RATE}))", "{{status}}")),
        panel("Checks that fail", "ops", (f"sum by (schema) (rate(sluice_checks_failed_total{RATE}))", "{{schema}}")),
    ],
    "Fleet": [
        panel("Workers", "short", ("max(sluice_workers)", "alive"), ("max(sluice_workers_wanted)", "wanted")),
        panel("Memory", "bytes", ("process_resident_memory_bytes", "{{instance}}"), help="Without the children that read files"),
        panel("Leases that ran out", "short", ("sum(increase(sluice_lease_expired_total[10m]))", "in 10 minutes"),
              help="Workers that died, or lost the database"),
        panel("Versions", "short", ("count by (version, commit) (sluice_build_info)", "{{version}} {{commit}}"), kind="stat"),
    ],
    "Engines": [
        panel("Reading of files, 95 of 100", "s",
              (f"histogram_quantile(0.95, sum by (le, engine) (rate(sluice_text_seconds_bucket{RATE})))", "{{engine}}")),
        panel("Uploaded bytes", "Bps", (f"sum(rate(sluice_upload_bytes_total{RATE}))", "bytes")),
    ],
}


def board():
    panels, top, number = [], 0, 0
    for row, members in ROWS.items():
        number += 1
        panels.append({"id": number, "type": "row", "title": row, "collapsed": False, "panels": [],
                       "gridPos": {"h": 1, "w": 24, "x": 0, "y": top}})
        width = 24 // len(members)
        for place, member in enumerate(members):
            number += 1
            targets = [{"refId": chr(65 + index), "datasource": SOURCE, "expr": expr, "legendFormat": legend}
                       for index, (expr, legend) in enumerate(member["queries"])]
            panels.append({"id": number, "type": member["kind"], "title": member["title"], "description": member["help"],
                           "datasource": SOURCE, "targets": targets,
                           "fieldConfig": {"defaults": {"unit": member["unit"]}, "overrides": []},
                           "gridPos": {"h": 8, "w": width, "x": place * width, "y": top + 1}})
        top += 9
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    return {"uid": "sluice", "title": "Sluice", "tags": ["sluice"], "schemaVersion": 39, "version": 1, "editable": True,
            "refresh": "30s", "time": {"from": "now-3h", "to": "now"}, "timezone": "", "templating": {"list": [source]},
            "annotations": {"list": []}, "panels": panels}


def rule():
    head = ("# Made of rules.yaml by board.py.\napiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\n"
            "metadata:\n  name: sluice\nspec:\n")
    lines = (FOLDER / "rules.yaml").read_text().splitlines()
    return head + "".join(f"  {line}\n" for line in lines if not line.startswith("#"))


if __name__ == "__main__":
    (FOLDER / "sluice.json").write_text(json.dumps(board(), indent=1) + "\n")
    (FOLDER / "rule.yaml").write_text(rule())
