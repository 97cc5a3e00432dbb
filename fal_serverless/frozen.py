"""Frozen values that cost nothing to import: as ``dataclass(frozen=True)`` makes them.

Importing ``dataclasses`` means importing ``inspect``, and with it half of the standard library's
tools for source code: more than everything else that ``from fal_serverless import isolated`` takes,
in every program and every cold start that has a decorated function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FunctionType

    from typing_extensions import Self, dataclass_transform
else:

    def dataclass_transform(**_: object) -> Callable[[type], type]:
        """For type checkers, which read the fields of a class with it."""
        return lambda cls: cls


class _Fields:
    """Makes ``dataclasses.replace``, ``asdict`` and the like work, once somebody asks for them."""

    def __get__(self, instance: object, owner: type[Frozen]) -> Mapping[str, Any]:
        import dataclasses

        annotated = owner.__annotations__
        defaults = owner._defaults
        made = dataclasses.make_dataclass(
            owner.__name__,
            [
                (name, annotated[name], dataclasses.field(default=defaults[name]))
                if name in defaults
                else (name, annotated[name])
                for name in owner.__match_args__
            ],
            kw_only=True,
        )
        found: Mapping[str, Any] = vars(made)["__dataclass_fields__"]
        owner.__dataclass_fields__ = found  # type: ignore[assignment]  # made once
        return found


@dataclass_transform(frozen_default=True)
class Frozen:
    """Base of values whose fields are the annotations of their class, in that order.

    Two of one class with equal fields are equal and have one hash. Defaults must be immutable,
    since all values share them. With ``kw_only``, fields are given by name.
    """

    _defaults: ClassVar[Mapping[str, Any]] = {}
    __match_args__: ClassVar[tuple[str, ...]] = ()
    __dataclass_fields__ = _Fields()

    def __init_subclass__(cls, *, kw_only: bool = False) -> None:
        super().__init_subclass__()
        names = tuple(cls.__annotations__)
        cls.__match_args__ = names  # type: ignore[misc]  # each class has its own
        cls._defaults = {name: vars(cls)[name] for name in names if name in vars(cls)}
        initializer = _initializer(names, cls._defaults, kw_only=kw_only)
        initializer.__qualname__ = f"{cls.__qualname__}.__init__"
        initializer.__annotations__ = {**cls.__annotations__, "return": None}
        cls.__init__ = initializer  # type: ignore[method-assign]

    def replace(self, **changes: Any) -> Self:
        """A copy with other values; nothing is checked again.

        Raises:
            TypeError: there is no such field.
        """
        return type(self)(**{**vars(self), **changes})

    __replace__ = replace  # of copy.replace, from Python 3.13

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(vars(self).values()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__qualname__}({shown})"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"cannot delete field {name!r}")


def _initializer(
    names: tuple[str, ...], defaults: Mapping[str, Any], *, kw_only: bool
) -> FunctionType:
    """``__init__`` with the fields as its own parameters, as signatures and errors show them."""
    parameters = ["self", *(["*"] if kw_only and names else [])]
    parameters += [f"{name}=_defaults[{name!r}]" if name in defaults else name for name in names]
    body = f"vars(self).update({', '.join(f'{name}={name}' for name in names)})"
    made: dict[str, Any] = {"_defaults": defaults}
    # As dataclasses and namedtuple do it; the names come from the classes of this package.
    exec(f"def __init__({', '.join(parameters)}):\n    {body}", made)  # noqa: S102
    initializer: FunctionType = made["__init__"]
    return initializer
