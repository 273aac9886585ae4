# A world writes its BIDS dataset.
rule simulate:
    output:
        "cache/datasets/{job}/manifest.json",
    log:
        "logs/simulate/{job}.log",
    benchmark:
        "logs/simulate/{job}.tsv"
    wildcard_constraints:
        job=WORKFLOW.slugs("simulate"),
    threads: COMPUTE.threads
    resources:
        mem_mb=WORKFLOW.memory(COMPUTE.memory_mb),
        runtime=WORKFLOW.runtime("simulate"),
        gpu=WORKFLOW.gpu("simulate"),
        turn=1,
    params:
        **WORKFLOW.params("simulate"),
    shell:
        "{params.call} 2> >(trap '' TERM; tee {log} >&2)"
