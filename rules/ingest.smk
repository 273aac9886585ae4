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
    group:
        WORKFLOW.group("ingest")
    threads: COMPUTE.threads
    resources:
        mem_mb=WORKFLOW.memory(2000),
        runtime=WORKFLOW.runtime("ingest"),
        gpu=WORKFLOW.gpu("ingest"),
        turn=1,
    params:
        **WORKFLOW.params("ingest"),
    shell:
        "{params.call} 2> >(trap '' TERM; tee {log} >&2)"
