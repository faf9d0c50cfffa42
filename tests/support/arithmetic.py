"""Sums written as text, worked out in exact decimals: numbers, ``+ - * /`` and parentheses, nothing else."""

import ast
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact
from typing import Final

_CONTEXT: Final = Context(prec=60, traps=[Inexact])
_OPERATIONS: Final[dict[type[ast.operator], Callable[[Decimal, Decimal], Decimal]]] = {
    ast.Add: _CONTEXT.add,
    ast.Sub: _CONTEXT.subtract,
    ast.Mult: _CONTEXT.multiply,
    ast.Div: _CONTEXT.divide,
}


def worked_out(text: str) -> Decimal:
    """The exact value of ``"(1200*2.5 + 50*10)/1e6"``; ValueError for anything but such a sum, Inexact without one."""
    return _value(ast.parse(text, mode="eval").body, text)


def to_the_nano(amount: Decimal) -> Decimal:
    """USD rounded to nano-dollars, half to even."""
    return amount.quantize(Decimal("1e-9"), ROUND_HALF_EVEN)


def _value(node: ast.expr, text: str) -> Decimal:
    match node:
        case ast.BinOp(left, operation, right) if type(operation) in _OPERATIONS:
            return _OPERATIONS[type(operation)](_value(left, text), _value(right, text))
        case ast.Constant(int() | float()) if not isinstance(node.value, bool):
            return Decimal(ast.get_source_segment(text, node) or "")  # as it is written: a float would not be exact
    raise ValueError(f"no sum: {ast.unparse(node)!r} in {text!r}")
