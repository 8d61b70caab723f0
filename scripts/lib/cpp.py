"""Understands C++ well enough to tell statements and function bodies apart.

Comments, literals and preprocessor lines are taken out first. The rest is read as a compiler would,
without types: a `{` either opens a block, which ends the statement before it, or a list of values,
which belongs to its statement; the body of a lambda holds statements of its own.
"""

import re
from dataclasses import dataclass, field

TOKEN = re.compile(
    r"""
    (?P<skip> \s+ | /\*.*?\*/ | (?://|\#)(?:[^\n\\]|\\.)* )
  | (?P<literal> (?:u8|[uUL])?R"(?P<delimiter>[^()\s\\]*)\(.*?\)(?P=delimiter)"
      | (?:u8|[uUL])?"(?:[^"\\\n]|\\.)*" | (?:u8|[uUL])?'(?:[^'\\\n]|\\.)*' )
  | (?P<number> \.?\d(?:[eEpP][+-]|'?[\w.])* )
  | (?P<word> [A-Za-z_]\w* )
  | (?P<mark> :: | -> | && | \|\| | \[\[ | . )
    """,
    re.VERBOSE | re.DOTALL,
)
HEADS = {"if", "while", "for", "switch", "catch"}  # followed by (...) and then a statement
STARTS = {"else", "do", "try"}  # followed by a statement
SPECIFIERS = {"const", "noexcept", "override", "final", "mutable", "try", "volatile"}
TYPES = {"class", "struct", "union", "enum", "namespace", "extern"}
BEFORE_LAMBDA = {"return", "co_return", "co_await", "co_yield", "case", "else", "do", "throw"}


@dataclass
class Token:
    kind: str  # literal, number, word or mark
    text: str
    line: int


@dataclass
class Statement:
    """A statement without the statements of the lambdas inside it, or the head of an if or loop."""

    tokens: list = field(default_factory=list)
    has_values: bool = False  # a list of values in braces
    has_lambda: bool = False

    def has(self, *texts):
        return any(token.text in texts for token in self.tokens)


@dataclass
class Function:
    name: str
    line: int
    last_line: int


def tokens_of(source):
    """The tokens of a source text. Literals lose their contents."""
    tokens, line = [], 1
    for match in TOKEN.finditer(source):
        if match.lastgroup != "skip":
            text = '""' if match.lastgroup == "literal" else match.group()
            tokens.append(Token(match.lastgroup, text, line))
        line += match.group().count("\n")
    return tokens


class Reader:
    """Splits tokens into `statements` and finds `functions`."""

    def __init__(self, tokens):
        self.tokens = tokens
        self.at = 0
        self.statements = []
        self.functions = []
        while self.at < len(tokens):
            self.block()
            self.at += 1  # past a closing brace without an opening one

    def peek(self):
        return self.tokens[self.at].text if self.at < len(self.tokens) else ""

    def block(self):
        """Reads statements up to the closing brace, which stays."""
        while self.peek() not in ("", "}"):
            self.statement()

    def braces(self):
        """Reads a block with both its braces; gives the line of the closing one."""
        self.at += 1
        self.block()
        line = self.tokens[min(self.at, len(self.tokens) - 1)].line
        self.at += 1
        return line

    def statement(self):
        text = self.peek()
        if text == "{":
            self.braces()
        elif text in STARTS:
            self.at += 1
        elif text in HEADS:
            while self.peek() not in ("", "(", "{", ";"):  # if constexpr, if consteval
                self.at += 1
            if self.peek() == "(":
                self.at += 1
                self.simple(closing=")")
                self.at += 1
        elif text in ("case", "default"):
            self.simple(closing=":")
            self.at += 1
        else:
            self.simple()

    def simple(self, closing=";"):
        """Reads one statement up to `closing`, or up to the block that it heads."""
        statement = Statement()
        self.statements.append(statement)
        depth = 0
        lambdas = []  # depths at which the body of a lambda is to come
        while text := self.peek():
            if depth == 0 and text == closing:
                self.at += closing == ";"
                return
            if text == "{" and lambdas and lambdas[-1] == depth:
                lambdas.pop()
                self.braces()
                continue
            if text == "{" and depth == 0 and closing == ";" and opens_block(statement.tokens):
                last_line = self.braces()
                if name := function_name(statement.tokens):
                    line = statement.tokens[0].line
                    self.functions.append(Function(name, line, last_line))
                return
            if text == "}" and depth == 0:
                return
            if text == "[[":
                self.attribute()
                continue
            if text == "[" and begins_lambda(statement.tokens):
                statement.has_lambda = True
                lambdas.append(depth)
            statement.has_values = statement.has_values or text == "{"
            depth += (text in ("(", "[", "{")) - (text in (")", "]", "}"))
            statement.tokens.append(self.tokens[self.at])
            self.at += 1

    def attribute(self):
        while self.peek() not in ("", "]"):
            self.at += 1
        self.at += 2


def opens_block(before):
    """Whether the `{` that follows these tokens of a statement opens a block."""
    texts = [token.text for token in before]
    if texts and texts[-1] in ("&", "&&"):  # of a member function
        texts.pop()
    if not texts or texts[-1] in {")", "}"} | SPECIFIERS:
        return True
    if declares_type(texts) or "requires" in texts:
        return True
    if "->" in texts:  # a return type at the end
        arrow = len(texts) - 1 - texts[::-1].index("->")
        begin = texts[arrow - 1] if arrow else ""
        plain = all(re.fullmatch(r"[\w<>,*&:]+", text) for text in texts[arrow + 1 :])
        return begin in {")"} | SPECIFIERS and plain
    return False


def declares_type(texts):
    """Whether a class, an enum or a namespace is declared, not only a template's parameter."""
    return any(
        text in TYPES and (index == 0 or texts[index - 1] not in ("<", ","))
        for index, text in enumerate(texts)
    )


def function_name(head):
    """The name of the function that has this head; empty when it heads something else."""
    texts = [token.text for token in head]
    if "(" not in texts or "concept" in texts or declares_type(texts):
        return ""
    opening = texts.index("(")
    first = opening - 1
    while first >= 2 and texts[first - 1] == "::":
        first -= 2
    return "".join(texts[max(first, 0) : opening])


def begins_lambda(before):
    """Whether the `[` that follows these tokens begins a lambda, not a subscript or binding."""
    if not before:
        return True
    last = before[-1]
    if last.text in BEFORE_LAMBDA:
        return True
    if last.kind != "mark" or last.text in (")", "]", "}"):
        return False
    if last.text in ("&", "&&") and len(before) > 1 and before[-2].text == "auto":
        return False
    return True
