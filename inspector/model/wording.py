"""How numbers of things are written in what people read."""


def counted(number: int, one: str, many: str = "") -> str:
    """Return "1 image", "2 images": `one` with its number, `many` where an s does not do."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def banks(kept: int, views: int) -> str:
    """Return what all banks keep: "3000", of a part with several views "2 x 3000"; "6001 in 2 views" where they are not alike."""
    if views < 2:
        return str(kept)
    return f"{kept} in {views} views" if kept % views else f"{views} x {kept // views}"
