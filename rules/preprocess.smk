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
    threads: COMPUTE.threads
    resources:
        mem_mb=lambda wildcards, attempt: COMPUTE.memory_mb * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        **WORKFLOW.params("preprocess"),
    shell:
        "{FORNIX} preprocess {WORKFLOW.study_file} {params.call} 2> >(tee {log} >&2)"
