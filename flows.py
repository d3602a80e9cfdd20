"""The catalogue: one Flow per worker flow. A new flow is one entry here and nothing anywhere else.

Queue names, variables and message bodies are contracts with the callers. The code of a flow is the artefact that the
stack's configuration gives under `artefacts.<code>`; until there is one, the flow has queues and no function.
"""

from components.flow import Flow, together
from components.image_source import ImageSource
from components.needs import ReadObjects, ReadObjectVersions, TellMissingObjects, UseDatabase, WriteObjects

#: Functions of the program that send to flows: the API, and the sweeper that re-sends what was never sent.
API = "api"
JOB_SWEEPER = "job_sweeper"
#: Every function that the program has whatever flows there are.
MIGRATE = "migrate"
FUNCTIONS = (API, JOB_SWEEPER, MIGRATE)

#: Where a zip is entered, of the five flows whose code is built from BlueMoxon's own backend.
ENTRY = "worker.handler"

#: What the images are built from that this project holds, by the name of their code. The worker's weights are fetched
#: and verified by ./bmx weights; the image's build verifies them again.
IMAGES = {
    "image_processing": ImageSource(
        repository="image-processor",
        dockerfile="handlers/image_processor/Dockerfile",
        sources=(
            "handlers/__init__.py",
            "handlers/common",
            "handlers/image_processor",
            "requirements/image_processor.txt",
        ),
        contexts={"weights": ".build/weights"},
    )
}


def catalogue(prefix: str) -> tuple[Flow, ...]:
    """Return every flow of a stack.

    Parameters
    ----------
    prefix
        Prefix of the stack's names.

    Raises
    ------
    components.refused.RefusedError
        A declaration contradicts itself, AWS or another one.
    """
    return together(
        [
            Flow(
                key="image_processing",
                queue="image-processing",
                code="image_processing",
                timeout=300,
                memory=7168,
                needs=(
                    # Photographs by the version that was checked; its own pictures and older rows as they are.
                    ReadObjects("books/"),
                    ReadObjectVersions("books/"),
                    WriteObjects("books/"),
                    TellMissingObjects(),
                    UseDatabase(),
                ),
                producers=(API, JOB_SWEEPER),
                # One job at a time per function; two keep an import of hundreds of pictures moving without a crowd.
                maximum_concurrency=2,
            ),
            Flow(
                key="analysis",
                queue="analysis-jobs",
                code="analysis",
                timeout=600,
                memory=256,
                handler=ENTRY,
                needs=(UseDatabase(),),
                producers=(API,),
            ),
            Flow(
                key="eval_runbook",
                queue="eval-runbook-jobs",
                code="eval_runbook",
                timeout=600,
                memory=256,
                handler=ENTRY,
                needs=(UseDatabase(),),
                producers=(API,),
            ),
            Flow(
                key="profile_generation",
                queue="profile-generation-jobs",
                code="profile_generation",
                timeout=600,
                memory=256,
                handler=ENTRY,
                needs=(UseDatabase(),),
                # It sends them in batches of 10; a batch needs the permission of a single message.
                producers=(API,),
            ),
            Flow(
                key="entity_enrichment",
                queue="entity-enrichment-jobs",
                code="entity_enrichment",
                timeout=600,
                memory=256,
                handler=ENTRY,
                needs=(UseDatabase(),),
                producers=(API,),
            ),
            Flow(
                key="tracking",
                queue="tracking-jobs",
                code="tracking",
                timeout=60,
                memory=512,
                handler=ENTRY,
                needs=(UseDatabase(),),
                schedule="rate(1 hour)",
                dispatcher="tracking_dispatcher",
                # Every book's message arrives at once; it is a backlog when an hour is too short for them.
                backlog_threshold=5_000,
            ),
        ],
        prefix,
        producers=(API, JOB_SWEEPER),
        functions=FUNCTIONS,
    )
