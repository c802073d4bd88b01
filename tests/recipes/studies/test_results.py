"""What a study says of its cells on its page and on screen."""

from data.markdown import plain
from recipes.studies import results
from recipes.studies.config import StudyConfig
from recipes.studies.grid import cells


def test_what_became_of_each_cells_claims_is_left_on_screen():
    grid = cells(StudyConfig(learners="tfidf", kinds="symmetric", rates="0,0.3", seeds="1"))
    records = [{**dict(cell.coordinates), "claims": f"{i} of 2 claims confirmed"} for i, cell in enumerate(grid)]
    shown = plain(results._claims(grid, records)).splitlines()
    assert f"- {grid[0].name}: 0 of 2 claims confirmed" in shown
    assert f"- {grid[1].name}: 1 of 2 claims confirmed" in shown
