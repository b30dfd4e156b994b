"""The fault matrix with kdns's deadlines scaled to a hundredth: `make faults` runs the real ones."""

from pathlib import Path

import pytest

from tests import pages
from tests.faults import matrix
from tests.faults.__main__ import BRIEF, PAGE, format_table, write
from tests.faults.scene import QUICK, Tally, timed


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("phase", matrix.PHASES)
async def test_every_fault_heals_in_time_and_no_answer_is_wrong(phase: str, tmp_path: Path):
    troubles = matrix.TROUBLES
    for attempt in range(4):  # others share the machine: what took too long is tried again
        folder = tmp_path / f"{attempt}"
        folder.mkdir()
        with timed(QUICK):
            outcomes = await matrix.run(troubles, [phase], QUICK, folder)
        assert [each.trouble for each in outcomes] == troubles
        assert not [wrong for each in outcomes for wrong in each.tally.wrong]
        failed = [each for each in outcomes if each.mistakes]
        if not failed:
            return
        troubles = [each.trouble for each in failed]
    pytest.fail("\n".join(f"{one.trouble.name}: {'; '.join(one.mistakes)}" for one in failed))


def test_the_page_has_a_row_for_every_fault_and_the_readme_the_telling_ones():
    table = pages.written(PAGE, "faults")
    rows = [pages.first_cell(line) for line in table.splitlines()[2:]]
    assert rows == [each.name for each in matrix.TROUBLES]
    assert pages.written(pages.README, "faults") == pages.brief(table, BRIEF)
    assert set(BRIEF) <= set(rows)


def test_a_table_replaces_the_one_before(tmp_path: Path):
    trouble = matrix.TROUBLES[0]
    tally = Tally(asked=9, wrong=["x"], stale=3, flagged=2)
    outcomes = [matrix.Outcome(trouble, phase, None, 3, tally) for phase in matrix.PHASES]
    page, readme = tmp_path / "page.md", tmp_path / "README.md"
    begin, end = pages.marks("faults")
    for each in (page, readme):
        each.write_text(f"above\n{begin}\nold\n{end}\nbelow\n")
    write(format_table(outcomes), page, readme)
    write(format_table(outcomes), page, readme)
    text = page.read_text()
    row = "| an event is never sent | never | never | never | ≤ 330 s | 3 | 6 of 9 |"
    assert text.splitlines()[4] == row
    assert text.startswith("above\n")
    assert text.endswith(f"{end}\nbelow\n")
    assert "old" not in text
    assert readme.read_text() == text, "the row is one that the README has, too"
    assert len(outcomes[0].mistakes) == 3
