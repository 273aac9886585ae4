#!/bin/bash
# properties = {properties}
# The script of a job, with what Snakemake puts between braces; single ones are written double.
# It leaves the job's exit status for status.sh.
( {exec_job} )
status=$?
cd "${{PBS_O_WORKDIR:-.}}" || exit 1
place=".snakemake/generic/${{JOB_ID:-$PBS_JOBID}}"
echo "$status" > "$place.unfinished"
mv "$place.unfinished" "$place.exit"
exit "$status"
