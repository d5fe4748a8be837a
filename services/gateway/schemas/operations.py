"""Parked events: what consumer groups of the services could not handle."""

from typing import Annotated, Literal

from msgspec import Meta

from services.gateway.schemas.base import INT64_MAX, Document, Moment, NextPageToken

ParkCauseWord = Literal["failed", "unreadable", "blocked"]
IDS_MAX = 500
AGGREGATE_ID_CHARS_MAX = 4_096

Group = Annotated[
    str,
    Meta(
        max_length=256,
        description="A consumer group; it begins with the name of its service.",
        examples=["orders.fulfilments"],
    ),
]
AggregateId = Annotated[
    str,
    Meta(
        description="Whose events they are, such as an order's id; of a record that is no event its subject, else "
        "its key."
    ),
]
ParkedEventId = Annotated[int, Meta(ge=1, le=INT64_MAX)]


class ParkedGroup(Document, kw_only=True):
    """A consumer group, and what is parked in it."""

    group: Group
    service: Annotated[str, Meta(description="The service that reads these events.", examples=["orders"])]
    events: Annotated[int, Meta(description="How many are parked, counted up to 10,000.")]
    oldest_park_time: Annotated[
        Moment | None, Meta(description="Since when the first of them is; null: nothing is parked.")
    ]


class ParkedGroupList(Document, kw_only=True):
    """All consumer groups, by name."""

    parked_groups: list[ParkedGroup]
    unreachable_services: Annotated[
        list[str], Meta(description="Services that did not answer: what is parked there is not known.")
    ]


class ParkedEvent(Document, kw_only=True):
    """An event that could not be handled, without what it holds."""

    parked_event_id: Annotated[ParkedEventId, Meta(description="Within the service of its group.")]
    topic: str
    partition: int
    offset: int
    aggregate_id: AggregateId
    version: Annotated[int | None, Meta(description="Of its aggregate; null: it could not be read.")]
    event_type: Annotated[
        str | None,
        Meta(description="null: it could not be read.", examples=["sampan.warehouse.v1.StockReserved"]),
    ]
    cause: Annotated[
        ParkCauseWord,
        Meta(
            description="`failed`: it was refused; `unreadable`: it is no event; `blocked`: an earlier one of its "
            "aggregate is parked or has not come."
        ),
    ]
    detail: Annotated[str, Meta(description="The same in words; after a replay that failed, of that one.")]
    record_time: Annotated[Moment | None, Meta(description="When the record was written.")]
    park_time: Moment | None
    attempts: Annotated[int, Meta(description="Replays that have failed at it.")]


class ParkedEventPage(Document, kw_only=True):
    """A page of parked events, in the order in which they were parked."""

    parked_events: list[ParkedEvent]
    next_page_token: NextPageToken


class ReplayParkedEvents(Document, kw_only=True):
    """What is to be handed to its handler again."""

    group: Group
    aggregate_id: Annotated[
        str, Meta(max_length=AGGREGATE_ID_CHARS_MAX, description="Only those of this aggregate; empty: all.")
    ] = ""
    across_gaps: Annotated[
        bool,
        Meta(
            description="Gives up what is missing before an event: should it come later, it is dropped as a duplicate."
        ),
    ] = False
    page_token: Annotated[
        str, Meta(max_length=1_024, description="`next_page_token` of the answer before, to go on behind it.")
    ] = ""


class ReplayFailure(Document, kw_only=True):
    """An aggregate that stays parked."""

    topic: str
    aggregate_id: AggregateId
    detail: Annotated[str, Meta(description="Why its first event could not be applied.")]


class ReplayReport(Document, kw_only=True):
    """What a replay did."""

    replayed: Annotated[int, Meta(description="Events that are parked no more.")]
    failures: list[ReplayFailure]
    next_page_token: Annotated[str, Meta(description="Empty once every aggregate was tried.")]


class DiscardParkedEvents(Document, kw_only=True):
    """What is to be given up."""

    group: Group
    parked_event_ids: Annotated[list[ParkedEventId], Meta(min_length=1, max_length=IDS_MAX)]
    note: Annotated[str, Meta(max_length=1_000, description="Why, for the record: 1 to 500 characters.")]


class DiscardReport(Document, kw_only=True):
    """What was given up."""

    discarded_ids: list[ParkedEventId]
    not_parked_ids: Annotated[
        list[ParkedEventId], Meta(description="They are not parked in the group, or not any more.")
    ]
