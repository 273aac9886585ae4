"""The JSON schema of the study file, for editors that complete and check YAML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fornix.study.study import Study

SCHEMA_FILE = Path("workflow/schemas/study.schema.json")


def schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a study."""
    found = Study.model_json_schema()
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Fornix study",
        "description": "One study: datasets, responses, features, fits, scores, claims, report.",
    }
    return {**head, **{key: value for key, value in found.items() if key not in head}}


def write_schema(path: Path, *, dry: bool = False) -> bool:
    """Write the schema unless it is there already; return whether the file was out of date."""
    text = json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    if not dry:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return True
