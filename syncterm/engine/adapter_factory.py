"""Makes a source or destination ready for use from what the store keeps: secrets opened, configuration validated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from syncterm.engine.adapters import Adapter, AdapterContext, parse_config
from syncterm.engine.connector_setup import Endpoint
from syncterm.engine.destinations.base import Destination, destination_class
from syncterm.engine.key_store import load_keys
from syncterm.engine.secrets import resolve, secret_fields, unseal
from syncterm.engine.sources.base import Source, source_class


class AdapterFactory:
    """Opens endpoints.

    Args:
        key_path: the file with the keys that seal the store's secrets.
        keys_in_keyring: whether a new key goes into the system's keyring.
        context: what every adapter may know of the product.
    """

    def __init__(self, key_path: Path, context: AdapterContext, *, keys_in_keyring: bool = False) -> None:
        self.key_path = key_path
        self.keys_in_keyring = keys_in_keyring
        self.context = context

    def source(self, endpoint: Endpoint) -> Source:
        """Raises: ConfigError: an unknown type, an invalid configuration, or a reference to a secret that is not there."""
        adapter = source_class(endpoint.type)
        return adapter(self._config(adapter, endpoint), self.context)

    def destination(self, endpoint: Endpoint) -> Destination:
        """Raises: ConfigError: as `source`."""
        adapter = destination_class(endpoint.type)
        return adapter(self._config(adapter, endpoint), self.context)

    def _config(self, adapter: type[Adapter], endpoint: Endpoint) -> Any:
        fields = secret_fields(adapter.Config)
        opened = unseal(endpoint.config, fields, endpoint.id, load_keys(self.key_path)) if fields else endpoint.config
        return parse_config(adapter, resolve(opened, fields, forbidden_paths=self.context.forbidden_paths))
