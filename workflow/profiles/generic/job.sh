#!/bin/bash
# What the scheduler starts: runs the script of a job, and leaves its exit status for status.sh.
#
#     qsub ... workflow/profiles/generic/job.sh JOBSCRIPT
cd "${PBS_O_WORKDIR:-.}" || exit 1
bash "$1"
status=$?
place=".snakemake/generic/${JOB_ID:-$PBS_JOBID}"
mkdir -p .snakemake/generic
echo "$status" > "$place.unfinished"
mv "$place.unfinished" "$place.exit"
exit "$status"
