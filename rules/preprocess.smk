# One subject's recordings become responses.
rule preprocess:
    input:
        WORKFLOW.inputs("preprocess"),
    output:
        "cache/responses/{job}/manifest.json",
    log:
        "logs/preprocess/{job}.log",
    benchmark:
        "logs/preprocess/{job}.tsv"
    wildcard_constraints:
        job=WORKFLOW.slugs("preprocess"),
    group:
        WORKFLOW.group("preprocess")
    threads: COMPUTE.threads
    resources:
        mem_mb=WORKFLOW.memory(COMPUTE.memory_mb),
        runtime=WORKFLOW.runtime("preprocess"),
        gpu=WORKFLOW.gpu("preprocess"),
        turn=1,
    params:
        **WORKFLOW.params("preprocess"),
    shell:
        "{params.call} 2> >(trap '' TERM; tee {log} >&2)"
