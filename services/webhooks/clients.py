"""The one way out: HTTP requests to addresses that tenants have stated, so nothing of them is trusted.

No redirect is followed, no cookie kept, no proxy asked, no body read, and no connection opened to an address that is
not public: that is decided for each address at the moment of its use, so a name cannot lead elsewhere after a check.
"""

import errno
import socket
from collections.abc import Mapping
from ipaddress import ip_address

import aiohttp
from aiohttp import ClientConnectorDNSError, ClientError, ClientSSLError, ClientTimeout, InvalidURL

from services.chassis.clock import now_utc
from services.chassis.lifecycle import VERSION
from services.webhooks.domain.addresses import is_public
from services.webhooks.domain.deliveries import Failure, Outcome

KEEP_ALIVE_S = 2.0
"""From one round to the next; for longer there would be too many, each to another endpoint."""
_HEADERS = {"content-type": "application/json", "user-agent": f"Sampan-Webhooks/{VERSION}"}


class AddressRefused(OSError):
    """The address is not one that may be sent to."""

    def __init__(self) -> None:
        # The same words for every address: then this is what comes of a name all of whose addresses are refused.
        super().__init__(errno.EACCES, "the address is not public")


class Receivers:
    """Sends to endpoints. `insecure` allows addresses that are not public, for development.

    Make it inside a running loop; `close` ends its connections.
    """

    def __init__(self, *, attempt_s_max: float, insecure: bool = False) -> None:
        self._insecure = insecure
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=aiohttp.AsyncResolver(),
                # Senders bound how many there are; a bound here would let one endpoint wait for another.
                limit=0,
                keepalive_timeout=KEEP_ALIVE_S,
                socket_factory=self._open_socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=ClientTimeout(total=attempt_s_max),
            auto_decompress=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Closes all connections."""
        await self._session.close()

    async def post(self, url: str, headers: Mapping[str, str], body: str) -> Outcome:
        """What came of one attempt; never raises for what the other side does."""
        try:
            async with self._session.post(
                url, data=body.encode(), headers={**_HEADERS, **headers}, allow_redirects=False
            ) as answer:
                # The head says it all. Leaving here closes a connection that still has a body to send.
                return Outcome.of_answer(answer.status, answer.headers.get("Retry-After", ""), now_utc())
        except TimeoutError:
            return Outcome(0, Failure.TIMEOUT)
        except ClientConnectorDNSError:
            return Outcome(0, Failure.NAME)
        except ClientSSLError:
            return Outcome(0, Failure.TLS)
        except (InvalidURL, ValueError):
            return Outcome(0, Failure.MALFORMED)
        except (ClientError, OSError) as error:
            refused = isinstance(getattr(error, "os_error", error), AddressRefused)
            return Outcome(0, Failure.ADDRESS_REFUSED if refused else Failure.CONNECTION)

    def _open_socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        """The socket of a connection that is about to be opened to this address and to no other."""
        family, kind, protocol, _, place = address
        if not self._insecure and not is_public(ip_address(str(place[0]).partition("%")[0])):
            raise AddressRefused
        return socket.socket(family, kind, protocol)
