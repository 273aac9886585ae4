# A BIDS dataset becomes tables of recordings, events and stimuli.
rule ingest:
    input:
        WORKFLOW.inputs("ingest"),
    output:
        "cache/ingest/{job}/manifest.json",
    log:
        "logs/ingest/{job}.log",
    benchmark:
        "logs/ingest/{job}.tsv"
    wildcard_constraints:
        job=WORKFLOW.slugs("ingest"),
    threads: COMPUTE.threads
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        **WORKFLOW.params("ingest"),
    shell:
        "{FORNIX} ingest {WORKFLOW.study_file} {params.call} 2> >(tee {log} >&2)"
