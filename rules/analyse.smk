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
    threads: COMPUTE.threads
    resources:
        mem_mb=lambda wildcards, attempt: COMPUTE.memory_mb * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        **WORKFLOW.params("analyse"),
    shell:
        "{FORNIX} analyse {WORKFLOW.study_file} {params.call} 2> >(tee {log} >&2)"
