# One fit is scored, all subjects together.
rule evaluate:
    input:
        WORKFLOW.inputs("evaluate"),
    output:
        "cache/scores/{job}/manifest.json",
    log:
        "logs/evaluate/{job}.log",
    benchmark:
        "logs/evaluate/{job}.tsv"
    wildcard_constraints:
        job=WORKFLOW.slugs("evaluate"),
    group:
        WORKFLOW.group("evaluate")
    threads: COMPUTE.threads
    resources:
        mem_mb=WORKFLOW.memory(COMPUTE.memory_mb),
        runtime=WORKFLOW.runtime("evaluate"),
        gpu=WORKFLOW.gpu("evaluate"),
        turn=1,
    params:
        **WORKFLOW.params("evaluate"),
    shell:
        "{params.call} 2> >(trap '' TERM; tee {log} >&2)"
