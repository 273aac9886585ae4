# A dataset comes from OpenNeuro.
rule fetch:
    output:
        "cache/datasets/{job}/manifest.json",
    log:
        "logs/fetch/{job}.log",
    benchmark:
        "logs/fetch/{job}.tsv"
    wildcard_constraints:
        job=WORKFLOW.slugs("fetch"),
    threads: COMPUTE.threads
    resources:
        mem_mb=WORKFLOW.memory(2000),
        runtime=WORKFLOW.runtime("fetch"),
        gpu=WORKFLOW.gpu("fetch"),
        turn=1,
    params:
        **WORKFLOW.params("fetch"),
    shell:
        "{params.call} 2> >(trap '' TERM; tee {log} >&2)"
