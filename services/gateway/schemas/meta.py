"""What the API says about itself."""

from typing import Annotated

from msgspec import Meta

from services.gateway.schemas.base import Document


class Alive(Document):
    """The process answers."""

    alive: bool


class Readiness(Document):
    """Whether requests can be served as they should."""

    ready: bool
    checks: Annotated[dict[str, str], Meta(description="By part: `ok`, or what it is still doing.")]


class ProblemType(Document, rename={"kind": "type"}):
    """One kind of refusal."""

    kind: Annotated[str, Meta(description="As in the problem document.", examples=["/problems/sku-unknown"])]
    reason: Annotated[str, Meta(description="The kind as a word for machines.", examples=["SKU_UNKNOWN"])]
    status: int
    title: str
    meaning: str
    retry: Annotated[bool, Meta(description="True where the same request may succeed after `Retry-After`.")]


class ProblemTypes(Document):
    """Every kind of refusal that the API knows."""

    problems: list[ProblemType]
