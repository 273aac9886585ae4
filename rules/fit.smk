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
    threads: COMPUTE.threads
    resources:
        mem_mb=lambda wildcards, attempt: COMPUTE.memory_mb * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        **WORKFLOW.params("fit"),
    shell:
        "{FORNIX} fit {WORKFLOW.study_file} {params.call} 2> >(tee {log} >&2)"
