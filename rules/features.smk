# One model reads the stimuli, every layer in one pass.
rule features:
    input:
        WORKFLOW.inputs("features"),
    output:
        "cache/features/{job}/manifest.json",
    log:
        "logs/features/{job}.log",
    benchmark:
        "logs/features/{job}.tsv"
    wildcard_constraints:
        job=WORKFLOW.slugs("features"),
    group:
        WORKFLOW.group("features")
    threads: COMPUTE.threads
    resources:
        mem_mb=WORKFLOW.memory(COMPUTE.memory_mb),
        runtime=WORKFLOW.runtime("features"),
        gpu=WORKFLOW.gpu("features"),
        turn=1,
    params:
        **WORKFLOW.params("features"),
    shell:
        "{params.call} 2> >(trap '' TERM; tee {log} >&2)"
