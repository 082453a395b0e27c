from models.cells import CELLS


def test_a_cell_is_typed_as_it_is_titled() -> None:
    assert all(cell.title.lower() == name for name, cell in CELLS.items())
