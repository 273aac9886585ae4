# One model is fitted to one subject, or to all of them.
rule fit:
    input:
        WORKFLOW.inputs("fit"),
    output:
        "cache/fits/{job}/manifest.json",
    log:
        "logs/fit/{job}.log",
    benchmark:
        "logs/fit/{job}.tsv"
    wildcard_constraints:
        job=WORKFLOW.slugs("fit"),
    group:
        WORKFLOW.group("fit")
    threads: WORKFLOW.threads("fit")
    resources:
        mem_mb=WORKFLOW.memory(COMPUTE.memory_mb),
        runtime=WORKFLOW.runtime("fit"),
        gpu=WORKFLOW.gpu("fit"),
        turn=1,
    params:
        **WORKFLOW.params("fit"),
    shell:
        "{params.call} 2> >(trap '' TERM; tee {log} >&2)"
