"""The key that seals the store's secrets."""

from __future__ import annotations

from syncterm.engine import audit
from syncterm.engine.authorisation import operation
from syncterm.engine.key_rotation import rotate
from syncterm.engine.model import Actor, Role
from syncterm.engine.operations.base import OperationsBase


class KeyOperations(OperationsBase):
    """What an administrator does with the key."""

    @operation(Role.ADMINISTRATOR)
    async def rotate_key(self, actor: Actor) -> str:
        """Seal every stored secret with a new key and drop the old one; what was done, in words.

        Raises:
            ConfigError: the key file or the keyring cannot be used; every secret still opens.
        """
        in_keyring = self._adapters.keys_in_keyring
        rotation = await rotate(self._database, self._adapters.key_path, in_keyring=in_keyring)
        async with self._database.write() as connection:
            await audit.record(
                connection,
                actor=actor,
                operation="rotate_key",
                object_type="workspace",
                after={"key": rotation.active, "configurations": rotation.configurations, "lost": rotation.lost},
                now=self._clock.now(),
            )
        place = "the keyring of this system" if in_keyring else "the key file"
        many = "1 configuration is" if rotation.configurations == 1 else f"{rotation.configurations:,} configurations are"
        said = f"The new key {rotation.active} is in {place}; {many} sealed with it, the old key is gone."
        if rotation.lost:
            said += (
                " 1 secret did not open and was left as it is; enter it again."
                if rotation.lost == 1
                else f" {rotation.lost:,} secrets did not open and were left as they are; enter them again."
            )
        return said
