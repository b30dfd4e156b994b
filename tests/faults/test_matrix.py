"""The fault matrix with kdns's deadlines scaled to a hundredth: `make faults` runs the real ones."""

from pathlib import Path

import pytest

from tests.faults import matrix
from tests.faults.__main__ import BEGIN, END, README, format_table, write
from tests.faults.scene import QUICK, Tally, timed


@pytest.mark.slow
@pytest.mark.timeout(90)
@pytest.mark.parametrize("phase", matrix.PHASES)
async def test_every_fault_heals_in_time_and_no_answer_is_wrong(phase: str, tmp_path: Path):
    with timed(QUICK):
        outcomes = await matrix.run(matrix.TROUBLES, [phase], QUICK, tmp_path)
    assert len(outcomes) == len(matrix.TROUBLES)
    failed = [
        f"{each.trouble.name}: {'; '.join(each.mistakes)}" for each in outcomes if each.mistakes
    ]
    assert not failed, "\n".join(failed)


def test_the_readme_has_a_row_for_every_fault():
    table = README.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    rows = [line.split("|")[1].strip() for line in table.strip().splitlines()[2:]]
    assert rows == [each.name for each in matrix.TROUBLES]


def test_a_table_replaces_the_one_before(tmp_path: Path):
    trouble = matrix.TROUBLES[0]
    tally = Tally(asked=9, wrong=["x"], stale=3, flagged=2)
    outcomes = [matrix.Outcome(trouble, phase, None, 3, tally) for phase in matrix.PHASES]
    page = tmp_path / "page.md"
    page.write_text(f"above\n{BEGIN}\nold\n{END}\nbelow\n")
    write(format_table(outcomes), page)
    write(format_table(outcomes), page)
    text = page.read_text()
    row = "| an event is never sent | never | never | never | ≤ 330 s | 3 | 6 of 9 |"
    assert text.splitlines()[4] == row
    assert text.startswith("above\n")
    assert text.endswith(f"{END}\nbelow\n")
    assert "old" not in text
    assert len(outcomes[0].mistakes) == 3
