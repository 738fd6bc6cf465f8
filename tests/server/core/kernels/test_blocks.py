from server.core.kernels.blocks import MEMO_LINES, memo_line


def test_frames_are_spread_over_the_lines_of_the_memo() -> None:
    lines = {memo_line(eid, 7) for eid in range(1 << 10)}
    assert lines <= set(range(0, 4 * MEMO_LINES, 4))
    assert len(lines) > 1000
