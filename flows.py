"""The catalogue: one Flow per worker flow. A new flow is one entry here and nothing anywhere else.

Queue names, variables and message bodies are contracts with the callers. The code of a flow is the artefact that the
stack's configuration gives under `artefacts.<code>`.
"""

from components.flow import Flow, together
from components.needs import ReadObjects, TellMissingObjects, UseDatabase, WriteObjects

#: Functions of the program that send to flows: the API, and the sweeper that re-sends what was never sent.
API = "api"
JOB_SWEEPER = "job_sweeper"


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
                needs=(ReadObjects("books/"), WriteObjects("books/"), TellMissingObjects(), UseDatabase()),
                producers=(API, JOB_SWEEPER),
                # One job at a time per function; two keep an import of hundreds of pictures moving without a crowd.
                maximum_concurrency=2,
            ),
        ],
        prefix,
        producers=(API, JOB_SWEEPER),
    )
