"""Money that the storefront has collected by itself, for prepaid orders.

There is nobody to call. What is owed back is given back by the storefront, which learns of it by the order's
events and its payment_state; here it counts as done once it has been told.
"""

from datetime import datetime
from uuid import UUID

from services.orders.domain.changes import EXTERNAL_PROVIDER
from services.orders.errors import PaymentTokenUnknown
from services.orders.payments.port import Answer, Outcome


class ExternalMoney:
    """The provider of prepaid orders."""

    name = EXTERNAL_PROVIDER

    async def authorise(
        self,
        payment_id: UUID,
        amount_minor: int,
        currency_code: str,
        payment_token: str,
        *,
        useful_until: datetime,
    ) -> Answer:
        """Refuses: a prepaid order is never paid through us."""
        raise PaymentTokenUnknown

    async def capture(self, payment_id: UUID) -> Answer:
        """The money was there from the beginning."""
        return Answer(Outcome.CAPTURED)

    async def refund(self, payment_id: UUID) -> Answer:
        """The storefront gives it back."""
        return Answer(Outcome.REFUNDED)

    async def look_up(self, payment_id: UUID) -> Answer:
        """The money was there from the beginning."""
        return Answer(Outcome.CAPTURED)
