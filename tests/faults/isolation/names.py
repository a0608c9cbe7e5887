"""What the things of a tenant are called. Field name → value; all fields of that name, in all requests, mean it."""

from __future__ import annotations

from tests.faults.isolation.filling import Names

TEXTS = ("description", "name", "display_name", "comment", "detail", "value")
"""Fields that hold a text; no name of a thing."""
THINGS = ("store_code", "item_code", "category_code", "payment_method_code", "staff_id", "user_name")
"""Fields whose values a tenant chooses."""
_NUMBER, SECOND_TERMINAL_NO = "terminal_no", 900


def chosen(tenant_id: str, tag: str, terminal_no: int, text: str) -> dict[str, str | int]:
    """Names that a tenant chooses; those that it is given are learnt from answers (`story.py`).

    Args:
        tenant_id: the tenant.
        tag: three letters; two tenants with one tag have the same names for everything.
        terminal_no: of its terminal.
        text: what stands in all its texts.
    """
    things: dict[str, str | int] = {name: f"{name.partition('_')[0]}-{tag}" for name in THINGS}
    return things | {"tenant_id": tenant_id, _NUMBER: terminal_no} | dict.fromkeys(TEXTS, text)


def second(names: Names, name: str) -> dict[str, str | int]:
    """The names, one of which means the second thing of its kind."""
    first = names[name]
    return {**names, name: SECOND_TERMINAL_NO if isinstance(first, int) else f"{first}-2"}


def ghosts(of: Names, chosen_names: Names) -> dict[str, str | int]:
    """Names of things that do not exist, in the shape of a tenant's that do.

    Args:
        of: the tenant's names, with those it was given.
        chosen_names: what a tenant would choose that does not exist.
    """
    return {name: chosen_names.get(name) or _unlike(value) for name, value in of.items()}


def _unlike(value: str | int) -> str | int:
    if isinstance(value, int):
        return value + 900
    # Of a credential it is the key that does not exist.
    head, dot, tail = value.partition(".")
    return head[:-4] + ("0000" if head[-4:] != "0000" else "1111") + dot + tail
