"""Makes a source or destination ready for use from what the store keeps: secrets opened, configuration validated."""

from __future__ import annotations

from typing import Any

from syncterm.engine.adapters import Adapter, AdapterContext, parse_config
from syncterm.engine.connector_setup import Endpoint
from syncterm.engine.destinations.base import Destination, destination_class
from syncterm.engine.secrets import Vault, resolve
from syncterm.engine.sources.base import Source, source_class


class AdapterFactory:
    """Opens endpoints.

    Args:
        vault: opens sealed secrets.
        context: what every adapter may know of the product.
    """

    def __init__(self, vault: Vault, context: AdapterContext) -> None:
        self._vault = vault
        self._context = context

    def source(self, endpoint: Endpoint) -> Source:
        """Raises: ConfigError: an unknown type, an invalid configuration, or a reference to a secret that is not there."""
        adapter = source_class(endpoint.type)
        return adapter(self._config(adapter, endpoint), self._context)

    def destination(self, endpoint: Endpoint) -> Destination:
        """Raises: ConfigError: as `source`."""
        adapter = destination_class(endpoint.type)
        return adapter(self._config(adapter, endpoint), self._context)

    def _config(self, adapter: type[Adapter], endpoint: Endpoint) -> Any:
        return parse_config(adapter, resolve(self._vault.unseal(endpoint.config, owner=endpoint.id)))
