# One analysis of stored features.
rule analyse:
    input:
        WORKFLOW.inputs("analyse"),
    output:
        "cache/analyses/{job}/manifest.json",
    log:
        "logs/analyse/{job}.log",
    benchmark:
        "logs/analyse/{job}.tsv"
    wildcard_constraints:
        job=WORKFLOW.slugs("analyse"),
    group:
        WORKFLOW.group("analyse")
    threads: COMPUTE.threads
    resources:
        mem_mb=WORKFLOW.memory(COMPUTE.memory_mb),
        runtime=WORKFLOW.runtime("analyse"),
        gpu=WORKFLOW.gpu("analyse"),
        turn=1,
    params:
        **WORKFLOW.params("analyse"),
    shell:
        "{params.call} 2> >(trap '' TERM; tee {log} >&2)"
