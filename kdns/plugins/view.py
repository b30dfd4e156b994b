"""view: expressions that are judged for each query; it is for this block if all of them are true.

What is said of the asker's address alone is his class, which joins the key of the answers that are
remembered: a view does not keep a block from answering at once. See kdns.corefile.expr.asked.
"""

import logging

from kdns.corefile.expr import asked
from kdns.corefile.expr.asked import Classes, Functions
from kdns.corefile.expr.expressions import ANY, BOOL, ExprError, Expression, parse
from kdns.corefile.options import Line, Settings, Shape, Syntax, text
from kdns.plugins.base import Chooser, Query, Site

log = logging.getLogger("kdns.view")


class View(Chooser):
    """The `view` directive."""

    name = "view"
    syntax = Syntax(
        args=Shape(words=(text,)),
        options={"expr": Shape(rest=text, at_least=1, repeats=True)},
    )

    def __init__(self, settings: Settings, site: Site) -> None:
        super().__init__(settings, site)
        (self.view,) = settings.args
        site.beside["view"] = self.view  # the label `view` of metrics
        self._classes = Classes()
        self._expressions = tuple(self._parsed(line) for line in settings.lines)
        self._labels = any("metadata" in one.reads for one in self._expressions)
        self._is_wild = asked.is_wild([host for host, _ in site.listen])

    def _parsed(self, line: Line) -> Expression:
        words = " ".join(line.values)
        parts = self._classes.parts
        try:
            return parse(words, asked.ENVIRONMENT, apart=asked.APART, parts=parts)
        except ExprError as error:
            hint = asked.QUOTES if "unknown name" in str(error) else ""
            raise line.fail(f"view: expr: {error}", hint) from error

    async def start(self) -> None:
        """Says which expressions can never be true."""
        for line, expression in zip(self.settings.lines, self._expressions, strict=True):
            if expression.kind not in {BOOL, ANY}:
                what = " ".join(line.values)
                log.warning("expr %s is never true: it is a %s; compare it", what, expression.kind)

    def takes(self, query: Query) -> bool:
        """Whether all expressions are true; one that cannot be evaluated is not."""
        before = query.ledger.metadata
        if self._labels and (collect := self.site.beside.get("metadata labels")):
            query.ledger.metadata = None
            collect(query)
        functions = Functions(query, self._classes, is_wild=self._is_wild)
        is_taken = all(_is_true(one, functions) for one in self._expressions)
        if not is_taken or before is not None:
            query.ledger.metadata = before
        return is_taken


def _is_true(expression: Expression, functions: Functions) -> bool:
    try:
        return expression.evaluate(functions) is True
    except ExprError:
        return False
