from inspector.model.confusion import NONE, confusion


def test_rejected_parts_are_counted_by_truth_and_name() -> None:
    truths = ["crack", "crack", "crack", "fray", "stain"]
    table = confusion(truths, ["crack", "", "fray", "fray", "crack"], ["crack", "fray"])
    assert table.as_json() == {
        "crack": {"crack": 1, "fray": 1, NONE: 1},
        "fray": {"crack": 0, "fray": 1, NONE: 0},
        "stain": {"crack": 1, "fray": 0, NONE: 0},
    }
    assert (table.right, table.of_known) == (2, 4)  # the stain is of no known kind


def test_nothing_rejected_of_a_known_kind() -> None:
    assert confusion([], [], ["crack"]).of_known == 0
    assert confusion(["stain"], ["crack"], ["crack"]).of_known == 0
