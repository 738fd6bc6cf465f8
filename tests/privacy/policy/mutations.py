"""Every small damage to a policy: a condition dropped, a comparison turned, a list or number changed, a wider scope."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from cedarpy import pst

from privacy.proof.difference import parts, reads

_TURNED: Final[dict[pst.BinaryOpName, tuple[pst.BinaryOpName, ...]]] = {
    "eq": ("not_eq",),
    "not_eq": ("eq",),
    "less": ("less_eq", "greater"),
    "less_eq": ("less", "greater_eq"),
    "greater": ("greater_eq", "less"),
    "greater_eq": ("greater", "less_eq"),
    "contains_all": ("contains_any",),
}


def of_policy(tree: pst.Template) -> Iterator[tuple[str, pst.Template]]:
    """Give every mutant of a policy with what was done to it."""
    for number, clause in enumerate(tree.clauses):
        before, after = tree.clauses[:number], tree.clauses[number + 1 :]
        yield f"clause {number} dropped", replace(tree, clauses=(*before, *after))
        turned = pst.Unless(clause.expr) if isinstance(clause, pst.When) else pst.When(clause.expr)
        yield f"clause {number} turned round", replace(tree, clauses=(*before, turned, *after))
        for what, expression in of_expression(clause.expr):
            yield f"clause {number}: {what}", replace(tree, clauses=(*before, replace(clause, expr=expression), *after))
    if isinstance(tree.principal, pst.ScopeIs) and not any(reads_asker(one.expr) for one in tree.clauses):
        # Where a condition compares the one who asks, its type is fixed twice: the scope says nothing new.
        yield "anybody", replace(tree, principal=pst.ScopeAny())
    if isinstance(tree.action, pst.ActionIn):
        for number, action in enumerate(tree.action.entities):
            rest = (*tree.action.entities[:number], *tree.action.entities[number + 1 :])
            yield f"not for {action.id}", replace(tree, action=pst.ActionIn(rest))


def of_expression(node: pst.Expr) -> Iterator[tuple[str, pst.Expr]]:
    """Give every mutant of an expression with what was done to it."""
    if isinstance(node, pst.BinaryOp):
        yield from _of_binary(node)
    elif isinstance(node, pst.UnaryOp):
        if node.op == "not":
            yield "a not dropped", node.arg
        yield from ((what, replace(node, arg=arg)) for what, arg in of_expression(node.arg))
    elif isinstance(node, pst.LongLit):
        yield f"{node.value} + 1", pst.LongLit(node.value + 1)
        yield f"{node.value} - 1", pst.LongLit(node.value - 1)
    elif isinstance(node, pst.Set):
        for number in range(len(node.elements)):
            rest = (*node.elements[:number], *node.elements[number + 1 :])
            if rest:  # Cedar knows no empty list: it would have no type
                yield f"element {number} dropped", pst.Set(rest)


def _of_binary(node: pst.BinaryOp) -> Iterator[tuple[str, pst.Expr]]:
    if node.op in {"and", "or"}:
        yield f"left of {node.op} dropped: {_short(node.left)}", node.right
        yield f"right of {node.op} dropped: {_short(node.right)}", node.left
        yield f"{node.op} turned", replace(node, op="or" if node.op == "and" else "and")
    for op in _TURNED.get(node.op, ()):
        yield f"{node.op} to {op}: {_short(node)}", replace(node, op=op)
    yield from ((what, replace(node, left=left)) for what, left in of_expression(node.left))
    yield from ((what, replace(node, right=right)) for what, right in of_expression(node.right))


def reads_asker(node: object) -> bool:
    """Return whether a policy, clause or expression looks at who asks."""
    if isinstance(node, pst.Template) and isinstance(node.principal, pst.ScopeIs):
        return True
    is_asker = isinstance(node, pst.Var) and node.name == "principal"
    return is_asker or any(reads_asker(one) for one in parts(node))


def _short(node: pst.Expr) -> str:
    return ", ".join(sorted(reads(node))) or type(node).__name__
