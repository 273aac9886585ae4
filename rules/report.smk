# The study ends in a page and its tables.
rule report:
    input:
        WORKFLOW.inputs("report"),
    output:
        "cache/reports/{job}/manifest.json",
    log:
        "logs/report/{job}.log",
    benchmark:
        "logs/report/{job}.tsv"
    wildcard_constraints:
        job=WORKFLOW.slugs("report"),
    threads: COMPUTE.threads
    resources:
        mem_mb=WORKFLOW.memory(COMPUTE.memory_mb),
        runtime=WORKFLOW.runtime("report"),
        gpu=WORKFLOW.gpu("report"),
        turn=1,
    params:
        **WORKFLOW.params("report"),
    shell:
        "{params.call} 2> >(trap '' TERM; tee {log} >&2)"
