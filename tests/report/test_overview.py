"""The page of all small studies."""

from __future__ import annotations

import json

import yaml

from fornix.report.overview import rows, write_overview

EVIL = "<script>alert(1)</script>"


def publish(results, label, verdicts, seconds=3.0):
    folder = results / label
    folder.mkdir(parents=True)
    claims = [
        {"text": text, "numbers": "r = 0.5", "verdict": verdict, "test": "greater", "n_rows": 3}
        for text, verdict in verdicts.items()
    ]
    (folder / "claims.json").write_text(json.dumps(claims))
    study = {"name": label, "title": f"All about {EVIL}", "paper": {"citation": "Somebody (2020)"}}
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    (folder / "manifest.json").write_text(json.dumps({"notes": {"seconds": seconds}}))


def test_each_claim_stands_beside_its_verdict_in_the_control_world(tmp_path):
    publish(tmp_path, "routes-mini", {"It is so.": "supported", "Chance.": "supported"})
    publish(tmp_path, "routes-mini_control", {"It is so.": "not supported"}, seconds=2.0)
    publish(tmp_path, "demo-mini", {"Found.": "supported"})
    publish(tmp_path, "demo", {"Found.": "supported"})
    demo, routes = rows(tmp_path)
    assert [one.control for one in demo.outcomes] == [None]
    assert demo.control_link == ""
    assert [(one.verdict, one.control) for one in routes.outcomes] == [
        ("supported", "not supported"),
        ("supported", None),
    ]
    assert routes.seconds == "5.0 s"
    page = write_overview(tmp_path)
    text = page.read_text()
    assert 'href="routes-mini_control/report.html"' in text
    assert EVIL not in text
    assert "&lt;script&gt;" in text


def test_a_report_that_is_half_published_is_left_out(tmp_path):
    publish(tmp_path, "demo-mini", {"Found.": "supported"})
    (tmp_path / "demo-mini/manifest.json").unlink()
    assert rows(tmp_path) == []
    assert "No small study" in write_overview(tmp_path).read_text()
