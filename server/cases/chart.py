"""The state machine as docs/CASES.md shows it: a drawing and a table, made from `privacy.cases.MOVES` alone."""

from __future__ import annotations

from typing import Final

from privacy.cases import ENTRY_OF, MOVES, State, Step

STATES: Final[dict[State, tuple[str, str]]] = {
    State.DRAFT: ("下書き", "being written by the officer"),
    State.SUBMITTED: ("提出済み", "well-formed; its windows are frozen at the edge"),
    State.PREPARED: ("確認済み", "取扱者 has compared papers and request"),
    State.CHECKED: ("審査済み", "取扱責任者 agrees"),
    State.APPROVED: ("承認済み", "管理責任者 approved, or released in an emergency; gateways are exporting"),
    State.READY: ("引渡し可", "all exports are here, their hashes are right"),
    State.RELEASED: ("引渡し済み", "the undertaking is signed; the named officer may open it"),
    State.RETURNED: ("返却済み", "returned or destroyed, with a certificate"),
    State.CLOSED: ("終了", "nothing is left to do"),
    State.REFUSED: ("拒否", "city hall said no, with a reason"),
    State.WITHDRAWN: ("取下げ", "by its officer, or the missing person was found"),
    State.LAPSED: ("失効", "undecided for too long: the freeze has ended"),
    State.REVOKED: ("取消し", "an emergency not ratified in time: access is gone, destruction demanded"),
}
"""What each state is, Japanese and English."""
STEPS: Final[dict[Step, tuple[str, str]]] = {
    Step.SUBMIT: ("提出", "officer 担当の警察官"),
    Step.PREPARE: ("確認", "取扱者 handler"),
    Step.CHECK: ("審査", "取扱責任者 supervisor"),
    Step.APPROVE: ("承認", "管理責任者 manager"),
    Step.REFUSE: ("拒否", "取扱者・取扱責任者・管理責任者 any of the three"),
    Step.WITHDRAW: ("取下げ", "officer 担当の警察官"),
    Step.EMERGENCY: ("緊急提供", "取扱責任者 supervisor, alone"),
    Step.RATIFY: ("追認", "管理責任者 manager, another person"),
    Step.EXPORTED: ("書き出し完了", "clerk システム"),
    Step.UNDERTAKE: ("誓約", "officer 担当の警察官"),
    Step.EXTEND: ("期限延長", "取扱責任者・管理責任者 supervisor or manager, with a reason"),
    Step.RETURN: ("返却・消去", "officer 担当の警察官"),
    Step.FEEDBACK: ("利用結果", "officer 担当の警察官"),
    Step.FOUND: ("発見", "officer or any of the three 担当の警察官・市"),
    Step.LAPSE: ("失効", "clerk システム"),
    Step.REVOKE: ("取消し", "clerk システム"),
    Step.CLOSE: ("終了", "clerk システム、取扱者 handler"),
}
"""What each step is called in Japanese, and who takes it; the policies decide."""


def mermaid() -> str:
    """Return the machine as a Mermaid state diagram; steps that lead back to their state are in the table alone."""
    lines = ["stateDiagram-v2", "    [*] --> draft"]
    for state, moves in MOVES.items():
        lines += [f"    {state} --> {move.to}: {STEPS[move.step][0]} {move.step}" for move in moves if move.to != state]
        if not moves:
            lines.append(f"    {state} --> [*]")
    return "\n".join(lines)


def state_table() -> str:
    """Return the states as a Markdown table."""
    lines = ["| 状態 State | | |", "|---|---|---|"]
    lines += [f"| `{state}` | {ja} | {en} |" for state, (ja, en) in STATES.items()]
    return "\n".join(lines)


def step_table() -> str:
    """Return every move as a Markdown table."""
    lines = ["| 状態 From | 手続 Step | 次 To | だれ Who | 記録 Entry |", "|---|---|---|---|---|"]
    for state, moves in MOVES.items():
        for move in moves:
            ja, who = STEPS[move.step]
            lines.append(f"| `{state}` | {ja} `{move.step}` | `{move.to}` | {who} | `{ENTRY_OF[move.step]}` |")
    return "\n".join(lines)
