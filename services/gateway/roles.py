"""Roles and scopes: what a route asks of its caller. The table of who may do what is in the routes themselves."""

from typing import Literal, get_args

Role = Literal["storefront", "merchant", "warehouse", "reader", "administrator", "platform"]
ScopeKind = Literal["merchants", "warehouses"]
"""What a key may be restricted to some of."""

ROLES: tuple[Role, ...] = get_args(Role)
PLATFORM_TENANT_ID = "platform"
"""The tenant of those who keep the others; it is fixed by access as well."""
PLATFORM_ONLY: frozenset[Role] = frozenset(("platform",))
KEEPERS_OF_KEYS: frozenset[Role] = frozenset(("administrator", "platform"))

MERCHANTS: frozenset[ScopeKind] = frozenset(("merchants",))
WAREHOUSES: frozenset[ScopeKind] = frozenset(("warehouses",))
ANY_SCOPE: frozenset[ScopeKind] = MERCHANTS | WAREHOUSES

# The one role that a scope belongs to: beside another it would be unclear what it restricts.
ROLE_OF_SCOPE: dict[ScopeKind, Role] = {"merchants": "merchant", "warehouses": "warehouse"}


def allow(*roles: Role) -> frozenset[Role]:
    """These roles and the administrator, who may do whatever any role of the tenant may."""
    return frozenset((*roles, "administrator"))
