"""Every small damage to a policy: a condition dropped, a comparison turned, a list one shorter or longer, a scope wider."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from cedarpy import pst

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
    if isinstance(tree.principal, pst.ScopeIs):
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


def names(node: object) -> frozenset[str]:
    """Return the attributes that an expression, clause or policy reads."""
    if isinstance(node, pst.GetAttr):
        return frozenset({node.attr}) | names(node.base)
    if isinstance(node, pst.HasAttr):
        return frozenset(node.attrs) | names(node.base)
    if isinstance(node, pst.UnaryOp):
        return names(node.arg)
    if isinstance(node, pst.BinaryOp):
        return names(node.left) | names(node.right)
    if isinstance(node, pst.Set):
        return frozenset[str]().union(*(names(one) for one in node.elements))
    if isinstance(node, pst.When | pst.Unless):
        return names(node.expr)
    if isinstance(node, pst.Template):
        return frozenset[str]().union(*(names(one) for one in node.clauses))
    return frozenset()


def _short(node: pst.Expr) -> str:
    return ", ".join(sorted(names(node))) or type(node).__name__
