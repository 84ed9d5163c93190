"""How large and how plain the code is: counts that a reader's patience depends on.

Tokens are those of `tokenize`, without comments, docstrings, line ends and indentation. A
function's length is its lines without the docstring.

    python bench/size.py            # this checkout
    python bench/size.py FOLDER     # another one, for before and after
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from pathlib import Path
from statistics import median

WIDE = 100
LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
    tokenize.ENCODING,
}
Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.Module | ast.ClassDef | Function


def docstring(node: ast.AST) -> ast.Expr | None:
    """The statement that is a node's docstring."""
    body = getattr(node, "body", None)
    if not isinstance(node, Documented) or not body:
        return None
    first = body[0]
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return first if is_text and isinstance(first.value.value, str) else None


def code_tokens(source: str, tree: ast.Module) -> int:
    """Tokens of the code, strings that stand alone as documentation left out."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant):
            continue
        if isinstance(node.value.value, str) and node.end_lineno:
            skipped |= set(range(node.lineno, node.end_lineno + 1))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return sum(t.type not in LAYOUT and t.start[0] not in skipped for t in tokens)


def comments(source: str) -> int:
    """Comments in a file."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return sum(t.type == tokenize.COMMENT for t in tokens)


def length(function: Function) -> int:
    """Lines of a function without its docstring."""
    text = docstring(function)
    own = (text.end_lineno or 0) - text.lineno + 1 if text else 0
    return (function.end_lineno or 0) - function.lineno + 1 - own


def tenth(values: list[int]) -> int:
    """The value that a tenth of them exceed."""
    return sorted(values)[int(0.9 * (len(values) - 1))]


def main() -> None:
    checkout = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent
    home = checkout / "colorfast"
    files = sorted(home.rglob("*.py"))
    lines, tokens, wide, comprehensions, commented = 0, 0, 0, 0, 0
    lengths: list[int] = []
    sizes: list[int] = []
    bare = public = 0
    for path in files:
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
        rows = source.splitlines()
        sizes.append(len(rows))
        lines += len(rows)
        wide += sum(len(row) > WIDE for row in rows)
        tokens += code_tokens(source, tree)
        commented += comments(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
                comprehensions += 1
            if isinstance(node, Function):
                lengths.append(length(node))
                if not node.name.startswith("_"):
                    public += 1
                    bare += docstring(node) is None
    folders = {p.parent for p in files} - {home}
    at_top = {folder for folder in folders if folder.parent == home}
    rows = {
        "folders in colorfast/": len(at_top),
        "files directly in colorfast/": sum(p.parent == home for p in files),
        "files": len(files),
        "lines": lines,
        "tokens of code": tokens,
        f"lines over {WIDE} columns": wide,
        "comprehensions per 1,000 lines": round(1000 * comprehensions / lines),
        "comments per 1,000 lines": round(1000 * commented / lines),
        "lines of a function, median": int(median(lengths)),
        "lines of a function, 90th percentile": tenth(lengths),
        "lines of a file, 90th percentile": tenth(sizes),
        "public functions without docstring": f"{bare} of {public}",
    }
    for name, value in rows.items():
        sys.stdout.write(f"{name:40s} {value}\n")


if __name__ == "__main__":
    main()
