"""Who may do what: an administrator everything, a user what they created, a viewer only look."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from syncterm.engine.errors import NotAllowedError
from syncterm.engine.model import Actor, Role

_RANK = {Role.VIEWER: 0, Role.USER: 1, Role.ADMINISTRATOR: 2}
NEEDED_ROLES: dict[str, Role] = {}
"""Operation → the role it needs."""


class Refusing(Protocol):
    """What records that an operation was refused."""

    async def refuse(self, actor: Actor, name: str) -> None: ...


P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound=Refusing)


def may_manage(actor: Actor, created_by: str) -> bool:
    """Whether an actor may change what somebody created."""
    return actor.role is Role.ADMINISTRATOR or actor.name == created_by


def operation(
    role: Role,
) -> Callable[
    [Callable[Concatenate[S, Actor, P], Coroutine[Any, Any, R]]],
    Callable[Concatenate[S, Actor, P], Coroutine[Any, Any, R]],
]:
    """Marks a method as an operation that needs at least that role; others are refused, and the refusal is recorded.

    The method then raises NotAllowedError for an actor below that role.
    """

    def decorate(
        method: Callable[Concatenate[S, Actor, P], Coroutine[Any, Any, R]],
    ) -> Callable[Concatenate[S, Actor, P], Coroutine[Any, Any, R]]:
        name = getattr(method, "__name__", "operation")

        async def checked(self: S, actor: Actor, /, *args: P.args, **kwargs: P.kwargs) -> R:
            if _RANK[actor.role] < _RANK[role]:
                await self.refuse(actor, name)
                raise NotAllowedError(
                    f"{actor.name} has the role {actor.role}; {name.replace('_', ' ')} needs {role}.",
                    remedy="Ask an administrator.",
                )
            return await method(self, actor, *args, **kwargs)

        NEEDED_ROLES[name] = role
        functools.update_wrapper(checked, method)
        return checked

    return decorate
