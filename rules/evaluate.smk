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
    threads: COMPUTE.threads
    resources:
        mem_mb=lambda wildcards, attempt: COMPUTE.memory_mb * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        **WORKFLOW.params("evaluate"),
    shell:
        "{FORNIX} evaluate {WORKFLOW.study_file} {params.call} 2> >(tee {log} >&2)"
