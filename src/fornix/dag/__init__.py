"""From a study to jobs: what there will be, what each depends on, why it would run."""
