"""From a study to jobs: which artifacts there will be, what each depends on, and why it would run."""
