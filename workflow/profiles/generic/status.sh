#!/bin/bash
# What became of a job: success, failed or running.
#
#     status.sh ID
#
# A job that the scheduler has ended leaves no exit status: it has failed if the queue says that it
# doesn't know it. A scheduler that doesn't answer says nothing of the kind.
left=".snakemake/generic/$1.exit"

told() {
  if [ -e "$left" ]; then
    [ "$(cat "$left")" = 0 ] && echo success || echo failed
    rm "$left" # numbers can come again
    exit
  fi
}

known() {
  local said
  if command -v qconf > /dev/null; then
    said=$(qstat -j "$1" 2>&1) # Grid Engine
  else
    said=$(qstat "$1" 2>&1) # PBS
  fi
  ! grep --quiet --ignore-case --extended-regexp 'do not exist|unknown job|has finished' <<< "$said"
}

told
if ! known "$1"; then
  sleep 10 # the file may be late
  told
  echo failed
else
  echo running
fi
