"""How numbers of things are written in what people read."""


def counted(number: int, one: str, many: str = "") -> str:
    """Return "1 image", "2 images": `one` with its number, `many` where an s does not do."""
    return f"{number} {one if number == 1 else many or one + 's'}"
