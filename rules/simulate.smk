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
        mem_mb=lambda wildcards, attempt: COMPUTE.memory_mb * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        **WORKFLOW.params("simulate"),
    shell:
        "{FORNIX} simulate {WORKFLOW.study_file} {params.call} 2> >(tee {log} >&2)"
