"""Why access refuses: one class per cause, each with the reason of `sampan.access.v1.ErrorReason`.

DomainError
├── NotFound             TenantNotFound, ApiKeyNotFound, SecretNotFound
├── AlreadyExists        TenantExists
└── FailedPrecondition   TenantReserved, ApiKeyRevoked, ApiKeysAtMax, SecretsAtMax

Those that are the same everywhere come from `services.chassis.errors`.
"""

from services.chassis.errors import AlreadyExists, FailedPrecondition, NotFound


class TenantNotFound(NotFound):
    """There is no such tenant."""

    def __init__(self, tenant_id: str) -> None:
        super().__init__("TENANT_NOT_FOUND", "there is no such tenant", metadata={"tenant_id": tenant_id})


class ApiKeyNotFound(NotFound):
    """The tenant has no such key."""

    def __init__(self, api_key_id: str) -> None:
        super().__init__("API_KEY_NOT_FOUND", "there is no such key", metadata={"api_key_id": api_key_id})


class SecretNotFound(NotFound):
    """The key has no such secret."""

    def __init__(self, secret_id: str) -> None:
        super().__init__(
            "SECRET_NOT_FOUND",
            "the key has no such secret",
            field="secret_id",
            metadata={"secret_id": secret_id},
        )


class TenantExists(AlreadyExists):
    """The tenant id is taken with another name."""

    def __init__(self, tenant_id: str) -> None:
        super().__init__(
            "TENANT_EXISTS",
            "there is a tenant with this id and another name",
            field="tenant_id",
            metadata={"tenant_id": tenant_id},
        )


class TenantReserved(FailedPrecondition):
    """The platform's own tenant is there from the beginning and stays as it is."""

    def __init__(self, tenant_id: str) -> None:
        super().__init__(
            "TENANT_RESERVED", "the platform's own tenant stays as it is", metadata={"tenant_id": tenant_id}
        )


class ApiKeyRevoked(FailedPrecondition):
    """The key is revoked."""

    def __init__(self, api_key_id: str) -> None:
        super().__init__("API_KEY_REVOKED", "the key is revoked", metadata={"api_key_id": api_key_id})


class ApiKeysAtMax(FailedPrecondition):
    """The tenant has as many keys as it may have."""

    def __init__(self, keys_max: int) -> None:
        super().__init__(
            "API_KEYS_AT_MAX",
            f"the tenant has {keys_max} keys that are not revoked: revoke one first",
            metadata={"keys_max": str(keys_max)},
        )


class SecretsAtMax(FailedPrecondition):
    """The key has two secrets that are good."""

    def __init__(self, secrets_max: int) -> None:
        super().__init__(
            "SECRETS_AT_MAX",
            f"the key has {secrets_max} secrets that are good: revoke one first",
            metadata={"secrets_max": str(secrets_max)},
        )
