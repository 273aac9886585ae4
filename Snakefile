# Fornix: one study file in, one report out.
#
#     snakemake --cores 2 --configfile config/studies/<study>.yaml [--config variant=mini]
#
# The study becomes a graph of jobs (src/fornix/dag/graph.py); each rule is one stage of it.
from fornix.garbage import look_seldom

look_seldom()  # before the imports below

from fornix.dag.workflow import open_or_exit
from snakemake.utils import min_version

min_version("9.27")


configfile: f"{workflow.current_basedir}/config/config.yaml"


# With `--software-deployment-method apptainer`; envs/fornix.def says how the image is made.
container: "fornix.sif"


WORKFLOW = open_or_exit(workflow, config)
COMPUTE = WORKFLOW.study.compute
WORKFLOW.settle()
if not workflow.output_settings.dryrun:
    WORKFLOW.publish()


onstart:
    WORKFLOW.lock()


rule all:
    input:
        WORKFLOW.targets,


include: "rules/simulate.smk"
include: "rules/fetch.smk"
include: "rules/ingest.smk"
include: "rules/preprocess.smk"
include: "rules/features.smk"
include: "rules/fit.smk"
include: "rules/evaluate.smk"
include: "rules/analyse.smk"
include: "rules/report.smk"
