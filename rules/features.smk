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
    threads: COMPUTE.threads
    resources:
        mem_mb=lambda wildcards, attempt: COMPUTE.memory_mb * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        **WORKFLOW.params("features"),
    shell:
        "{FORNIX} features {WORKFLOW.study_file} {params.call} 2> >(tee {log} >&2)"
