from inspector.model.confusion import NONE, confusion


def test_rejected_parts_are_counted_by_truth_and_name() -> None:
    truths = ["crack", "crack", "crack", "fray", "stain"]
    table = confusion(truths, ["crack", "", "fray", "fray", "crack"], ["crack", "fray"])
    assert table.as_json() == {
        "crack": {"crack": 1, "fray": 1, NONE: 1},
        "fray": {"crack": 0, "fray": 1, NONE: 0},
        "stain": {"crack": 1, "fray": 0, NONE: 0},
    }
    assert table.named_right == 0.5  # two of the four whose kind is known; the stain is not


def test_nothing_rejected_is_no_share() -> None:
    assert confusion([], [], ["crack"]).named_right is None
    assert confusion(["stain"], ["crack"], ["crack"]).named_right is None
