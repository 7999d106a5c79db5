"""Has the comment beside a field be what the documentation says of it: an option is spelled once, with its unit."""

from __future__ import annotations

from typing import Any

import griffe


class Comments(griffe.Extension):
    """An extension of Griffe, which reads the sources for mkdocstrings."""

    def on_attribute_instance(self, *, attr: griffe.Attribute, **_: Any) -> None:
        if attr.docstring is None and attr.endlineno is not None:
            line = attr.lines_collection[attr.filepath][attr.endlineno - 1]
            comment = line.partition("  # ")[2]
            if comment:
                attr.docstring = griffe.Docstring(comment[0].upper() + comment[1:] + ".", parent=attr)
