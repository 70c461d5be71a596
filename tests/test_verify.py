"""A report is made again with what it was made with."""

from helpers import verify
from helpers.workspace import Workspace
from test_crash import finish, read


def test_a_report_of_what_was_known_on_a_day_is_made_again_as_of_that_day(tmp_path):
    ws = Workspace.at(read(tmp_path))
    finish(ws.root, ["report", "2025-01-07", "--as-of", "2025-01-20"])
    (folder,) = (path for path in ws.reports.iterdir() if path.is_dir())
    assert folder.name.endswith("-as-of-2025-01-20")
    again = verify.rerun(ws, folder, lanes=1)
    assert again.faults == ()
    assert again.notes == ()
    (folder / "manifest.json").write_text(
        (folder / "manifest.json").read_text().replace("--as-of 2025-01-20", "")
    )
    assert any("differs when made again" in fault for fault in verify.rerun(ws, folder).faults)
