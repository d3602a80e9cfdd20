"""The base of every argument that comes out of a stack's configuration: camelCase, nothing undeclared, unchangeable."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints
from pydantic.alias_generators import to_camel

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Arguments(BaseModel):
    """Typed values of one part of the configuration; a key that is not declared is refused by name."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, extra="forbid", frozen=True)
